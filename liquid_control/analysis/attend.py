"""`liquid-control attend`: where a model looks, on anything that has frames."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import tyro
from rich.table import Table
from tqdm import tqdm

from liquid_control import __version__, models
from liquid_control.analysis.attend_measures import Measures, markdown, table
from liquid_control.analysis.attend_output import (
    Film,
    Stills,
    curves_figure,
    past_figure,
    past_of,
    sheet,
)
from liquid_control.analysis.explainer import Explainer, Model, Seen
from liquid_control.analysis.rerun_log import Recording, Viewer
from liquid_control.analysis.sources import Shot, Source, open_source
from liquid_control.attention.maps import METHODS
from liquid_control.errors import InputError
from liquid_control.evaluation.output import console
from liquid_control.files import check_folder, replace_file
from liquid_control.policy.fingerprint import weights_hash
from liquid_control.rollout import ExpertPilot, PolicyPilot, parse_options

__all__ = ["attend"]

Several = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
Flag = tyro.conf.FlagCreatePairsOff
# So many frames of a drive are kept for --past, at any rate up to 60 Hz.
PAST_RATE = 60


def attend(
    input: Annotated[str, tyro.conf.Positional],
    model: Several = (),
    method: Several = (),
    neuron: Several = (),
    every: int = 1,
    limit: int | None = None,
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
    measure: Annotated[bool, Flag] = False,
    past: float = 0.0,
    live: Annotated[bool, Flag] = False,
    serve: Annotated[bool, Flag] = False,
    seed: int = 0,
    option: Several = (),
    topic: str | None = None,
    rate: float = 30.0,
) -> int:
    """Show where models look: a video, stills and a Rerun recording, and figures on request.

    Writes attention.mp4 and recording.rrd of the first model, method and neuron, stills.png with
    all of them, and results.json. In a world the model drives; where several are compared or
    measured, the world's expert does, so that all see the same. Ctrl-C ends a stream, and what
    came is written.

    Args:
        input: a bag, a folder of bags, a run's folder, a Donkeycar tub, a video, an image or a
            folder of them, a world (Driving-v1), or topic:/camera/image_raw.
        model: name of a shipped model or folder of a trained one; several to compare them.
        method: visual-backprop (by default), gradient, grad-cam, guided-backprop,
            guided-grad-cam or integrated-gradients; several to compare them.
        neuron: what to explain instead of the command: a neuron (command_3), an output
            (curvature) or a feature of the head (feature_7); several to compare them.
        every: explain each n-th frame; those between are driven through.
        limit: explain no more than so many frames.
        output: folder to write into; runs/<time>-attend by default.
        measure: also measure the maps: noise, road, deletion and insertion.
        past: also say how much of a command rests on the frames of so many seconds before [s].
        live: watch in Rerun's window while it runs.
        serve: watch in a browser on this machine while it runs, and until Ctrl-C.
        seed: of a world's first episode, and of noise.
        option: of a world, as NAME=VALUE with a YAML value (season=winter); once for each.
        topic: the camera of bags; by default /camera/image_raw[/compressed], or the only one.
        rate: of an image folder [1/s].
    """
    if every < 1 or (limit is not None and limit < 1) or not 0 <= past < 60:
        raise InputError(
            "attend needs --every and --limit of at least 1 and --past from 0 to 60 s, got "
            f"{every}, {limit} and {past}."
        )
    if live and serve:
        raise InputError("A recording is watched --live or by --serve; choose one of the two.")
    if not model:
        shipped = ", ".join(models.folders())
        raise InputError(f"attend needs a --model, of this project ({shipped}) or a folder.")
    model = tuple(dict.fromkeys(model))
    loaded = [Model.load(name) for name in model]
    if len({each.name for each in loaded}) < len(loaded):
        # Folders of one name are told apart by their paths.
        loaded = [Model(given, each.policy) for given, each in zip(model, loaded, strict=True)]
    keep = round(past * PAST_RATE) + 1 if past else 0
    explainers = [
        Explainer(each, one, target, keep)
        for each in loaded
        for one in dict.fromkeys(method or METHODS[:1])
        for target in dict.fromkeys(neuron or (None,))
    ]

    def world(text: str) -> Source:
        from liquid_control.analysis.worlds import world_source

        shared = measure or len(loaded) > 1
        pilot = ExpertPilot() if shared else PolicyPilot(loaded[0].policy)
        episodes = 1 if limit is None else None
        return world_source(text, pilot, seed, parse_options(option), episodes, measure)

    source = open_source(input, topic=topic, rate=rate, world=world)
    folder = output or Path("runs") / f"{datetime.now():%Y-%m-%d-%H%M%S}-attend"
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        # Nothing is left behind by either: neither a viewer nor half-written files.
        stack.enter_context(_handled(signal.default_int_handler, signal.SIGTERM))
        viewer = Viewer(page=serve) if live or serve else None
        if viewer is not None:
            stack.callback(viewer.close)
        if viewer is not None and viewer.address:
            print(f"Watch: {viewer.address}")
        run = _Run(explainers, source, measure, seed)
        with tempfile.TemporaryDirectory(prefix=".attend-", dir=folder) as hidden:
            run.follow(Path(hidden), every, limit, viewer)
            results = run.finish(Path(hidden), past)
            for file in sorted(Path(hidden).iterdir()):
                shutil.move(file, folder / file.name)
        settings = {
            "input": input,
            "every": every,
            "limit": limit,
            "neurons": list(neuron),
            "seed": seed,
            "version": __version__,
        }
        results = {"settings": settings, **results}
        replace_file(folder / "results.json", json.dumps(results, indent=1) + "\n")
        _say(results, folder)
        if viewer is not None and viewer.address:
            print("Ctrl-C ends the page.")
            viewer.wait()
    return 0


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None], *numbers: int) -> Iterator[None]:
    """Handle signals in another way meanwhile; in other threads than the main one, as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, each in before.items():
            signal.signal(number, each)


class _Run:
    """One pass over a source."""

    def __init__(
        self, explainers: Sequence[Explainer], source: Source, measure: bool, seed: int
    ) -> None:
        self.explainers, self.source = list(explainers), source
        self.measures = [Measures(each, seed) for each in self.explainers] if measure else []
        self.stills = Stills()
        self.frames = self.explained = self.drives = 0
        self.interrupted = False

    def follow(self, folder: Path, every: int, limit: int | None, viewer: Viewer | None) -> None:
        """Look at the frames, and write video and recording while they come.

        Raises:
            InputError: the source has no frame, or one does not fit the model.
        """
        first = self.explainers[0]
        names = first.model.policy.state_names
        with ExitStack() as stack:
            stack.enter_context(self._until_interrupted())
            film = Film(folder / "attention.mp4", first, self.source.name)
            stack.callback(film.close)
            recording = stack.enter_context(Recording(folder / "recording.rrd", names, viewer))
            bar = stack.enter_context(
                tqdm(total=self._total(every, limit), desc="frames", unit="frame", disable=None)
            )
            for seconds, shot in _timed(self._shots(limit)):
                explain = self.frames % every == 0
                seen = self._look(shot, explain)
                self.frames += 1
                self.drives += shot.begins
                bar.update()
                film.add(seen[0], seconds)
                recording.add(*_logged(seconds, seen[0], first.model.policy.spec.names))
                if not explain:
                    continue
                self.explained += 1
                self.stills.add(seconds, seen, [each.past for each in self.explainers])
                for measures, each in zip(self.measures, seen, strict=False):
                    measures.add(each)
        if not self.frames and self.interrupted:
            raise KeyboardInterrupt
        if not self.frames:
            left = ", ".join(f"{count} {why}" for why, count in self.source.skipped.items())
            raise InputError(
                f"No frame came from {self.source.name} ({left or 'it is empty'}); check it."
            )

    def _look(self, shot: Shot, explain: bool) -> list[Seen]:
        """What each explainer saw; a model decides once, however many explain it."""
        decided: dict[str, Seen] = {}
        seen = []
        for each in self.explainers:
            first = decided.get(each.model.name)
            found = each.look(shot, explain) if first is None else each.also(first)
            decided.setdefault(each.model.name, found)
            seen.append(found)
        return seen

    def _shots(self, limit: int | None) -> Iterator[Shot]:
        for shot in self.source:
            if self.interrupted:
                print("Interrupted; what came is written.")
                return
            yield shot
            if limit is not None and self.explained >= limit:
                return

    @contextmanager
    def _until_interrupted(self) -> Iterator[None]:
        """Ctrl-C or SIGTERM ends the pass after the frame in hand; a second ends the program."""

        def interrupt(number: int, frame: FrameType | None) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True

        with _handled(interrupt, signal.SIGINT, signal.SIGTERM):
            yield

    def _total(self, every: int, limit: int | None) -> int | None:
        wanted = None if limit is None else (limit - 1) * every + 1
        counts = [count for count in (wanted, self.source.count) if count is not None]
        return min(counts) if counts else None

    def finish(self, folder: Path, seconds: float) -> dict:
        """Write the pictures; JSON-ready results."""
        (folder / "stills.png").write_bytes(
            sheet(self.explainers, self.stills, f"{self.source.kind} {self.source.name}")
        )
        results: dict = {
            "source": {
                "kind": self.source.kind,
                "name": self.source.name,
                "frames": self.frames,
                "explained": self.explained,
                "drives": self.drives,
                "skipped": dict(self.source.skipped),
            },
            "models": {
                each.model.name: {"weights": weights_hash(each.model.policy)}
                for each in self.explainers
            },
            "methods": list(dict.fromkeys(each.method for each in self.explainers)),
        }
        if self.measures:
            results["measures"] = [each.summary() for each in self.measures]
            (folder / "curves.png").write_bytes(curves_figure(results["measures"]))
            (folder / "measures.md").write_text(markdown(results["measures"]), encoding="utf-8")
        if seconds:
            results["past"] = self._past(folder, seconds)
        return results

    def _past(self, folder: Path, seconds: float) -> dict:
        moments = [each for each in self.stills.chosen if len(each[2][0]) > 1]
        if not moments:
            raise InputError("--past needs drives of more than one frame; give longer ones.")
        found, names = [], {}
        for place, explainer in enumerate(self.explainers):
            if explainer.model.name in names:
                continue
            names[explainer.model.name] = pasts = [
                past_of(explainer, before[place], seconds)
                for _, _, before in tqdm(moments, desc=f"past of {explainer.model.name}", delay=1)
            ]
            found.append((explainer.model.name, pasts))
        picture = past_figure(found, moments[-1][2][0])
        (folder / "past.png").write_bytes(picture)
        return {
            name: {
                "moments_s": [moment[0] for moment in moments],
                "mean_lag_s": [each.mean_lag for each in pasts],
                "reach_90_s": [each.reach() for each in pasts],
                "shares_newest_first": [each.shares[::-1].tolist() for each in pasts],
            }
            for name, pasts in names.items()
        }


def _timed(shots: Iterator[Shot]) -> Iterator[tuple[float, Shot]]:
    """Each shot with its time [s]; where a new drive begins it goes on without a gap."""
    seconds = None
    for shot in shots:
        seconds = 0.0 if seconds is None else seconds + shot.elapsed
        yield seconds, shot


def _logged(seconds: float, seen: Seen, names: Sequence[str]) -> tuple:
    """Arguments of `Recording.add`."""
    decision = seen.decision
    commands = dict(zip(names, decision.command, strict=True))
    given = seen.shot.given
    commands |= {f"{name} of the driver": given[name] for name in names if name in given}
    return seconds, seen.shot.image, seen.overlay(), commands, decision.state


def _say(results: dict, folder: Path) -> None:
    screen = console()
    if "measures" in results:
        header, *rows = table(results["measures"])
        shown = Table(*header)
        for row in rows:
            shown.add_row(*row)
        screen.print(shown)
    for name, each in results.get("past", {}).items():
        lags, reach = each["mean_lag_s"], each["reach_90_s"]
        print(
            f"{name}: looks back {1e3 * sum(lags) / len(lags):.0f} ms on average, 90 % of it "
            f"within {1e3 * max(reach):.0f} ms"
        )
    source = results["source"]
    skipped = "".join(f", {count} {why}" for why, count in source["skipped"].items())
    print(
        f"{source['frames']} frames in {source['drives']} drives, {source['explained']} explained"
        f"{skipped}"
    )
    names = sorted(file.name for file in folder.iterdir() if file.is_file())
    print(f"Written: {folder}/ ({', '.join(names)})")
