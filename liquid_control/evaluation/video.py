"""`attention.mp4`: the dashboard of every frame, as H.264 that any browser plays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from liquid_control.command import CURVATURE, STEERING
from liquid_control.evaluation.dashboard import HEIGHT, OUTPUTS, WIDTH, Dashboard, Reading
from liquid_control.evaluation.run_data import RunData, Series
from liquid_control.evaluation.run_views import View

__all__ = ["Film", "Still", "Writer", "write_video"]

CLOCK = 90_000  # ticks per second, the usual clock of MPEG streams
LONGEST_STEP_S = 1.0
KEEP_ATTENTION_S = 0.5
CRASH_SHOWN_S = 1.0
STILL_WAITS = 15  # frames for one with attention


@dataclass(frozen=True)
class Still:
    """A frame kept for the page: time [s], command asked (or NaN), image uint8 RGB."""

    time: float
    command: float
    output: str
    image: np.ndarray
    attended: bool


@dataclass(frozen=True)
class Film:
    """A written video: its stills, and where its seconds lie in the run.

    Args:
        stills: frames spread evenly over the run.
        sync: pairs of video time and run time [s]; both go on at one rate until the next pair.
    """

    stills: tuple[Still, ...]
    sync: tuple[tuple[float, float], ...]


def write_video(
    path: Path, run: RunData, views: Iterable[View], title: str, stills: int = 8
) -> Film:
    """Write the video with one picture per camera frame, and pick stills evenly over the run.

    Pictures last as long as their stamps say, at most `LONGEST_STEP_S`, so that a gap in a
    recording does not freeze the video. With no view nothing is written. Stills show the overlay
    or, where there is none, the camera.
    """
    read = _readings(run)
    board = _dashboard(run, title)
    count = len(run.frames)
    patience = STILL_WAITS if run.overlay or run.saliency else 0
    wanted = np.linspace(0, count - 1, min(stills, count)).round().astype(int).tolist()
    kept: list[Still] = []
    attention, attention_time = None, -np.inf
    writer = None
    sync: list[tuple[float, float]] = []
    try:
        for number, view in enumerate(views):
            writer = writer or Writer(path)
            reading = read(view.stamp)
            if view.attention is not None:
                attention, attention_time = view.attention, reading.time
            elif not 0 <= reading.time - attention_time <= KEEP_ATTENTION_S:
                attention = None
            held = attention is not None and view.attention is None
            shown = reading if not held else _held(reading, attention_time)
            seconds = writer.add(board.draw(view.camera, attention, shown), view.stamp)
            if not sync or abs(reading.time - sync[-1][1] - (seconds - sync[-1][0])) > 0.01:
                sync.append((seconds, reading.time))
            late = wanted and number - wanted[0]
            last = number == count - 1
            due = view.attention is not None or late >= patience or last
            if wanted and late >= 0 and due:
                del wanted[0]
                attended = view.attention is not None
                image = view.attention if attended else view.camera
                kept.append(Still(reading.time, reading.asked, reading.output, image, attended))
    finally:
        if writer is not None:
            writer.close()
    return Film(tuple(kept), tuple(sync))


class Writer:
    """An H.264 file with the timing of stamps.

    Args:
        path: the file, `*.mp4`.
        quality: x264's constant rate factor; 23 is its default, more is smaller and coarser.
        most: bits per second that it may take, None for as many as the quality needs.
    """

    def __init__(self, path: Path, quality: int = 23, most: int | None = None) -> None:
        # faststart: the index comes first, so that a browser plays before it has everything.
        self.file = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
        self.stream = self.file.add_stream("libx264", rate=30)
        self.stream.width, self.stream.height = WIDTH, HEIGHT
        self.stream.pix_fmt = "yuv420p"
        self.stream.options = {"preset": "veryfast", "crf": str(quality), "threads": "1"}
        if most is not None:
            # Noise must not take the bits that text and lines beside it need.
            spread = {"x264-params": "aq-mode=3:aq-strength=2"}
            limit = {"maxrate": str(most), "bufsize": str(2 * most)}
            self.stream.options |= limit | spread
        context = self.stream.codec_context
        context.time_base = Fraction(1, CLOCK)
        context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
        context.color_primaries = context.color_trc = 1  # BT.709: those of sRGB
        self.ticks, self.stamp, self.broken = 0, None, False

    def add(self, image: np.ndarray, stamp: int) -> float:
        """Append a picture; the time at which the video shows it [s]."""
        if self.stamp is not None:
            step = np.clip((stamp - self.stamp) / 1e9, 1e-3, LONGEST_STEP_S)
            self.ticks += round(float(step) * CLOCK)
        self.stamp = stamp
        # OpenCV's conversion (BT.601) is 5 times faster than FFmpeg's: 1 ms instead of 5.
        planes = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.colorspace, frame.color_range = Colorspace.ITU601, ColorRange.MPEG
        frame.pts, frame.time_base = self.ticks, Fraction(1, CLOCK)
        try:
            self.file.mux(self.stream.encode(frame))
        except OSError:
            self.broken = True
            raise
        return self.ticks / CLOCK

    def close(self) -> None:
        # FFmpeg crashes where a file is written on whose disk was full before.
        if self.broken:
            return
        self.file.mux(self.stream.encode(None))
        self.file.close()


def _dashboard(run: RunData, title: str) -> Dashboard:
    output = run.commands.names[0] if run.commands is not None and run.commands.names else ""
    lateral = None
    if run.state is not None and "lateral_error" in run.state:
        worst = float(np.nanpercentile(np.abs(run.state["lateral_error"]), 99))
        lateral = next((half for half in (0.5, 1.0, 2.0) if worst <= half), 5.0)
    bound, names = 1.0, ()
    if run.neurons is not None:
        names = run.neurons.names
        bound = float(np.nanpercentile(np.abs(run.neurons.values), 99.5)) or 1.0
    reach = OUTPUTS[output].high if output in OUTPUTS else 1.0
    if output not in OUTPUTS and output:
        reach = float(np.nanmax(np.abs(run.commands[output]))) or 1.0
    return Dashboard(title, names, bound, lateral, output, reach)


def _readings(run: RunData):
    """A function from a frame's stamp to its `Reading`; tables are joined once, not per frame."""
    stamps = np.unique(run.frames)
    rows = {int(stamp): row for row, stamp in enumerate(stamps)}
    joined = {
        key: series.at(stamps)
        for key in ("commands", "state", "expert", "neurons", "odometry")
        if (series := getattr(run, key)) is not None
    }
    output = run.commands.names[0] if run.commands is not None and run.commands.names else ""
    crashes = [] if run.state is None or run.crash not in run.state else _crashes(run)

    def value(key: str, name: str, row: int) -> float:
        series: Series | None = joined.get(key)
        return float(series[name][row]) if series is not None and name in series else np.nan

    def read(stamp: int) -> Reading:
        row = rows[stamp]
        marks: list[tuple[str, float, str]] = []
        if output == CURVATURE.name:
            marks.append(("road", value("state", "curvature", row), "target"))
            marks.append(("driven", value("state", "curvature_driven", row), "driven"))
        elif run.flies:
            marks.append(("flown", value("state", output, row), "driven"))
        if "expert" in joined and output in joined["expert"]:
            whose = "human" if output == STEERING.name else "expert"
            marks.append((whose, value("expert", output, row), "target"))
        speed = value("state", "speed", row)
        states = None
        if "neurons" in joined:
            names, values = joined["neurons"].names, joined["neurons"].values[row]
            states = dict(zip(names, values, strict=True))
        return Reading(
            time=float(run.seconds(stamp)),
            output=output,
            asked=value("commands", output, row),
            marks=tuple(marks),
            speed=value("odometry", "speed", row) if np.isnan(speed) else speed,
            lateral_error=value("state", "lateral_error", row),
            crashed=any(0 <= stamp - crash <= CRASH_SHOWN_S * 1e9 for crash in crashes),
            neurons=states,
        )

    return read


def _crashes(run: RunData) -> np.ndarray:
    return run.state.stamps[np.nan_to_num(run.state[run.crash]) > 0.5]


def _held(reading: Reading, attention_time: float) -> Reading:
    """The same reading with the time of the older attention that is still shown."""
    return replace(reading, attention_time=attention_time)
