"""`liquid-control data info|view|repair`: look at bags, whoever recorded them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from liquid_control.data.drive import find_bags
from liquid_control.data.info import survey
from liquid_control.data.info_tables import bag_table, histogram, topic_table
from liquid_control.data.repair import ORIGINAL, repair
from liquid_control.data.source import storage_files
from liquid_control.errors import InputError

__all__ = ["info", "repair_", "view"]

Bags = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="BAG [BAG ...]")]
Flag = tyro.conf.FlagCreatePairsOff


def info(bags: Bags, json_: Annotated[bool, tyro.conf.arg(name="json"), Flag] = False) -> None:
    """Show counts, rates, gaps and histograms of the commands of bags.

    Args:
        bags: bags of any rosbag2 recorder, also killed ones, or folders of bags.
        json_: print JSON: a list with one entry a bag.
    """
    found = [survey(bag) for bag in _expand(bags)]
    if json_:
        print(json.dumps([one.to_dict() for one in found], indent=1))
        return
    console = Console()
    for one in found:
        console.print(bag_table(one))
        console.print(topic_table(one.topics))
        for topic, commands in one.commands.items():
            for name, values in zip(commands.names, commands.values.T, strict=True):
                console.print(histogram(f"{topic} {name}", values))


def view(
    bags: Bags,
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
    frames: int = 20,
    topic: str | None = None,
) -> None:
    """Draw frames with their commands, histograms and a timeline of bags as one PNG.

    Args:
        bags: bags of any rosbag2 recorder, also killed ones, or folders of bags.
        output: file to write; named after the first bag by default.
        frames: how many are shown, evenly spread over all bags.
        topic: the camera; by default /camera/image_raw[/compressed], or the only one.
    """
    from liquid_control.data.view import draw

    found = _expand(bags)
    output = output or Path(f"{found[0].resolve().name}.png")
    if output.suffix.lower() != ".png":
        raise InputError(f"The picture is written as PNG: give a file NAME.png, got {output}.")
    draw(found, output, frames, topic)
    print(f"{output}: {len(found)} bag(s)")


def repair_(bag: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BAG")]) -> None:
    """Write the index that a killed recorder left out; damaged chunks are left out.

    The file as it was stays beside the new one, with `.original` at the end of its name.

    Args:
        bag: folder of an MCAP bag.
    """
    before = {file: file.stat() for file in storage_files(bag)} if bag.is_dir() else {}
    count = repair(bag, keep=True)
    changed = [file for file, was in before.items() if file.stat().st_ino != was.st_ino]
    kept = ", ".join(file.name + ORIGINAL for file in changed)
    print(
        f"{bag}: {count:,} messages, "
        + (f"the original is kept as {kept}" if changed else "its files were whole")
    )


def _expand(paths: tuple[Path, ...]) -> list[Path]:
    """The bags at or below `paths`."""
    if not paths:
        raise InputError("Expected one or more bags or folders of bags, got none; give a path.")
    found: list[Path] = []
    for path in paths:
        found += [path] if path.is_file() else find_bags(path)
    return found
