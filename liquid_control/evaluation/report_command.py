"""`liquid-control report FOLDER`: write the page of a run or an evaluation again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from liquid_control.errors import InputError
from liquid_control.evaluation.episodes import TABLE
from liquid_control.evaluation.output import beside
from liquid_control.evaluation.run_report import write_run
from liquid_control.evaluation.suite_report import write_report
from liquid_control.files import check_folder

__all__ = ["report"]


@dataclass(frozen=True)
class _Told:
    """What an earlier report was told by the command that made the run."""

    title: str
    facts: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    versions: dict[str, str] | None = None


def report(
    run: Annotated[Path, tyro.conf.Positional],
    output: Path | None = None,
    videos: int = 3,
) -> int:
    """Write report.html: of a run from its bag, of an evaluation from its episodes.

    Of a run, results.json and attention.mp4 are written too.

    Args:
        run: a run folder (with a folder `bag` in it), a bag, or an evaluation's folder.
        output: folder to write a run's report into; by default the run folder, or for a bag of
            another name `<bag>-report` beside it.
        videos: of an evaluation's worst episodes, which are driven again for them.

    Returns:
        0; the exit code says whether the report was written, not how the run went.

    Raises:
        InputError: neither a bag nor an evaluation there.
    """
    if (run / TABLE).is_file():
        if output is not None:
            raise InputError(
                f"{run} is an evaluation, whose report lies in its folder; leave --output out."
            )
        print(f"Report: {write_report(run, videos)}")
        return 0
    if (run / "frames.csv").is_file():
        raise InputError(
            f"{run} is an open-loop measurement, whose page needs its recordings; write it again "
            "with `liquid-control evaluate --data`."
        )
    bag = run / "bag" if (run / "bag").exists() else run
    if output is None:
        output = bag.parent if bag.name == "bag" else beside(bag, "-report")
    check_folder(output)
    told = _told(output, title=f"Run {output.resolve().name}" if bag.name == "bag" else bag.name)
    results = write_run(
        output,
        title=told.title,
        facts=told.facts or {"Bag": str(bag)},
        failures=told.failures,
        bag=bag,
        versions=told.versions,
    )
    print(results["verdict"])
    print(f"Report: {output / 'report.html'}")
    return 0


def _told(folder: Path, title: str) -> _Told:
    """Title, facts, failures and versions of the results that lie in `folder`, if any."""
    path = folder / "results.json"
    if not path.is_file():
        return _Told(title)
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        return _Told(old["title"], old["facts"], old["failures"], old["software"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not the results of a run ({error}); remove it or give another --output."
        ) from error
