"""Making the bag of a killed recorder standard again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from liquid_control.data.mcap_file import McapFile
from liquid_control.data.metadata import FileSummary, write_metadata
from liquid_control.data.recovery import is_finished
from liquid_control.data.source import Scanned, storage_files
from liquid_control.errors import InputError

__all__ = ["ORIGINAL", "repair"]

ORIGINAL = ".original"


def repair(path: str | Path, keep: bool = False) -> int:
    """Finish the bag that a killed recorder left, in place; returns its number of messages.

    Each file that lacks its index or holds damaged chunks is written anew beside itself and then
    replaced in one step, and metadata.yaml comes last: an interruption at any point leaves a bag
    that `BagReader` reads and a second call repairs. A whole bag keeps its files' bytes.

    Args:
        path: folder of the bag.
        keep: leave each file that changes under its name with `ORIGINAL` at its end.

    Raises:
        InputError: there is no MCAP bag at `path`, or the disk is full.
    """
    path = Path(path)
    files = storage_files(path) if path.is_dir() else []
    if not files or any(file.suffix != ".mcap" for file in files):
        raise InputError(
            f"{path} holds no MCAP bag; give the folder of a recording (SQLite bags are repaired "
            "with `ros2 bag reindex`)."
        )
    facts = {}
    try:
        summaries = []
        for file in files:
            broken = Scanned([file])
            facts |= broken.facts
            summaries.append(_repair_file(file, broken, keep))
        write_metadata(path, summaries, facts)
    except OSError as error:
        raise InputError(
            f"The bag {path} cannot be repaired ({error.strerror}); it is as readable as before, "
            "so make room or write access and repair it again."
        ) from error
    return sum(summary.count for summary in summaries)


def _repair_file(file: Path, broken: Scanned, keep: bool) -> FileSummary:
    if is_finished(file) and not broken.damaged:
        times = [stamp_ns for _, _, stamp_ns, _ in broken.raw_messages(None)]
        topics = {topic.name: topic for topic in broken.topics}
        return FileSummary(file.name, times[0] if times else 0, times[-1] if times else 0, topics)
    unfinished = file.with_name(f".{file.name}.repairing")
    unfinished.unlink(missing_ok=True)
    new = McapFile(
        unfinished, "zstd", flush_interval_s=float("inf"), name=file.name, facts=broken.facts
    )
    try:
        for topic in broken.topics:
            new.add_topic(topic)
        for name, _, stamp_ns, cdr in broken.raw_messages(None):
            new.write(name, cdr, stamp_ns)
        summary = new.finish(broken.facts)
        if keep:
            _keep(file)
        os.replace(unfinished, file)
    finally:
        new.abandon()
        unfinished.unlink(missing_ok=True)
    return summary


def _keep(file: Path) -> None:
    """Give `file` its second name; the first original of several repairs is the one that counts."""
    kept = file.with_name(file.name + ORIGINAL)
    if kept.exists():
        return
    try:
        os.link(file, kept)
    except OSError:
        # A file system without hard links.
        shutil.copy2(file, kept)
