"""One picture of a running policy: the camera, what it attended to, its command and its neurons.

Drawn for a screen; `video` strings the pictures together.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from liquid_control.command import CURVATURE, SPEED, STEERING, THROTTLE, VX
from liquid_control.evaluation.screen_text import fitted, text_width, write

__all__ = ["HEIGHT", "WIDTH", "Dashboard", "Reading"]

WIDTH, HEIGHT = 1280, 720
BACKGROUND, PANEL, TRACK = (16, 20, 24), (25, 31, 37), (38, 46, 54)
INK, MUTED = (234, 238, 241), (143, 155, 167)
ASKED, DRIVEN, TARGET, BAD = (255, 146, 76), (84, 204, 184), (150, 163, 176), (240, 84, 84)
LAYERS = {"inter": (92, 178, 204), "command": (172, 142, 232), "motor": (255, 146, 76)}
# Left column: two boxes of 4 x (200 x 78); right column: gauges and neurons.
BOX = (800, 312)
LEFT, CAMERA_TOP, ATTENTION_TOP = 24, 64, 388
SIDE, SIDE_WIDTH = 856, 400
OUTPUTS = {output.name: output for output in (CURVATURE, SPEED, STEERING, THROTTLE, VX)}
AHEAD = (SPEED.name, VX.name)


@dataclass(frozen=True)
class Reading:
    """The numbers shown with one frame; NaN or empty where nothing is known.

    Args:
        time: since the start of the run [s].
        output: name of the command that the gauge shows.
        asked: the policy's command.
        marks: other values on the same scale: (label, value, colour name "driven" or "target").
        speed: [m/s].
        lateral_error: [m], positive = left of the lane's centre.
        crashed: the episode ended in a crash.
        neurons: states by neuron name.
        attention_time: time of the frame that the shown attention belongs to [s].
    """

    time: float
    output: str = ""
    asked: float = np.nan
    marks: tuple[tuple[str, float, str], ...] = ()
    speed: float = np.nan
    lateral_error: float = np.nan
    crashed: bool = False
    neurons: dict[str, float] | None = None
    attention_time: float = np.nan


class Dashboard:
    """Draws readings; what does not change between frames is drawn once.

    Args:
        title: upper left line.
        neurons: names in recorded order, () to leave their bars out.
        bound: state [1] that fills half a neuron's bar.
        lateral: half of the lateral gauge [m], or None to leave it out.
        output: name of the gauge's command, "" to leave it out.
        reach: half of the gauge, in units of the command.
    """

    def __init__(
        self,
        title: str,
        neurons: tuple[str, ...] = (),
        bound: float = 1.0,
        lateral: float | None = None,
        output: str = "",
        reach: float = 1.0,
    ) -> None:
        self.bound, self.lateral, self.reach = bound, lateral, reach
        top = 136
        self.gauge_top = top
        top += 88 if output else 0
        self.lateral_top = top
        top += 72 if lateral else 0
        groups = list(dict.fromkeys(name.rsplit("_", 1)[0] for name in neurons))
        self.rows: dict[str, tuple[int, int, tuple[int, int, int]]] = {}
        room = HEIGHT - 20 - (top + 26) - 8 * max(0, len(groups) - 1)
        pitch = min(22.0, room / max(1, len(neurons)))
        place = top + 26.0
        for group in groups:
            for name in (n for n in neurons if n.rsplit("_", 1)[0] == group):
                box = (round(place), max(2, round(pitch) - 5))
                self.rows[name] = (*box, LAYERS.get(group, TARGET))
                place += pitch
            place += 8
        self.neurons_top = top
        self.base = self._base(title, output)

    def draw(
        self, camera: np.ndarray, attention: np.ndarray | None, reading: Reading
    ) -> np.ndarray:
        """uint8 RGB (HEIGHT, WIDTH, 3) of camera and attention images, uint8 RGB of any size."""
        canvas = self.base.copy()
        _place(canvas, camera, CAMERA_TOP)
        if attention is not None:
            _place(canvas, attention, ATTENTION_TOP)
        if np.isfinite(reading.asked):
            marks = [(value, _color(name)) for _, value, name in reading.marks]
            _gauge(canvas, self.gauge_top + 28, 16, reading.asked / self.reach, ASKED)
            for value, color in marks:
                _tick(canvas, self.gauge_top + 22, 28, value / self.reach, color)
        if self.lateral and np.isfinite(reading.lateral_error):
            share = reading.lateral_error / self.lateral
            _gauge(canvas, self.lateral_top + 28, 10, share, DRIVEN)
        for name, value in (reading.neurons or {}).items():
            if name in self.rows and np.isfinite(value):
                top, tall, color = self.rows[name]
                _bar(canvas, top, tall, value / self.bound, color)
        if reading.crashed:
            corner = (LEFT + BOX[0] - 1, CAMERA_TOP + BOX[1] - 1)
            cv2.rectangle(canvas, (LEFT, CAMERA_TOP), corner, BAD, 4)
        self._write(canvas, attention is not None, reading)
        return canvas

    def _write(self, canvas: np.ndarray, attended: bool, reading: Reading) -> None:
        edge = SIDE + SIDE_WIDTH
        _figure(canvas, SIDE, f"{reading.time:.2f}", "s")
        if np.isfinite(reading.speed):
            write(canvas, (SIDE + 150, 82), "speed", MUTED, 13)
            _figure(canvas, SIDE + 150, f"{reading.speed:.1f}", "m/s")
        if np.isfinite(reading.asked):
            text = _number(reading.asked, OUTPUTS.get(reading.output))
            write(canvas, (edge, self.gauge_top + 17), text, ASKED, 15, True, "right")
            right = edge
            for label, value, name in reversed(reading.marks):
                if np.isfinite(value):
                    place = (right, self.gauge_top + 70)
                    write(canvas, place, label, _color(name), 13, align="right")
                    right -= text_width(label, 13) + 10
                    level = self.gauge_top + 59
                    canvas[level : level + 12, round(right) : round(right) + 3] = _color(name)
                    right -= 16
        if self.lateral and np.isfinite(reading.lateral_error):
            text = f"{_signed(reading.lateral_error, 2)} m"
            write(canvas, (edge, self.lateral_top + 17), text, DRIVEN, 15, True, "right")
        if reading.crashed:
            _tag(canvas, LEFT + 90, CAMERA_TOP + 12, "crash", BAD)
        _tag(canvas, LEFT + 12, CAMERA_TOP + 12, "camera", INK)
        if attended:
            text = "attention"
            if np.isfinite(reading.attention_time):
                text += f" of {reading.attention_time:.2f} s"
            _tag(canvas, LEFT + 12, ATTENTION_TOP + 12, text, INK)
        else:
            middle = (LEFT + BOX[0] // 2, ATTENTION_TOP + BOX[1] // 2 + 6)
            write(canvas, middle, "no attention recorded for this frame", MUTED, 16, align="middle")

    def _base(self, title: str, output: str) -> np.ndarray:
        canvas = np.full((HEIGHT, WIDTH, 3), BACKGROUND, np.uint8)
        for top in (CAMERA_TOP, ATTENTION_TOP):
            canvas[top : top + BOX[1], LEFT : LEFT + BOX[0]] = PANEL
        write(canvas, (LEFT, 42), fitted(title, BOX[0], 20, True), INK, 20, True)
        write(canvas, (SIDE, 82), "time", MUTED, 13)
        if output:
            _track(canvas, self.gauge_top + 28, 16)
            write(canvas, (SIDE, self.gauge_top + 17), f"{output} asked", MUTED, 13)
            unit = OUTPUTS[output].unit if output in OUTPUTS else ""
            way = "← ahead" if output in AHEAD else "← left"
            scale = f"{way}, to {self.reach:g} {'' if unit == '1' else unit}".rstrip()
            write(canvas, (SIDE, self.gauge_top + 70), scale, MUTED, 13)
        if self.lateral:
            _track(canvas, self.lateral_top + 28, 10)
            text = f"lateral error, to {self.lateral:g} m"
            write(canvas, (SIDE, self.lateral_top + 17), text, MUTED, 13)
        if self.rows:
            text = f"hidden state, to ±{self.bound:.2g}"
            write(canvas, (SIDE, self.neurons_top + 13), text, MUTED, 13)
        for name, (top, tall, color) in self.rows.items():
            _track(canvas, top, tall, SIDE + 104, SIDE_WIDTH - 104)
            place = (SIDE + 92, top + tall / 2 + 4)
            write(canvas, place, name.replace("_", " "), color, 12, align="right")
        return canvas


def _color(name: str) -> tuple[int, int, int]:
    return DRIVEN if name == "driven" else TARGET


def _place(canvas: np.ndarray, image: np.ndarray, top: int) -> None:
    """Enlarge `image` into its box, whole and undistorted."""
    rows, columns = image.shape[:2]
    scale = min(BOX[0] / columns, BOX[1] / rows)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    kind = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    image = cv2.resize(image, size, interpolation=kind)
    x, y = LEFT + (BOX[0] - size[0]) // 2, top + (BOX[1] - size[1]) // 2
    canvas[y : y + size[1], x : x + size[0]] = image


def _track(canvas, top: int, tall: int, left: int = SIDE, width: int = SIDE_WIDTH) -> None:
    canvas[top : top + tall, left : left + width] = TRACK
    canvas[top - 1 : top + tall + 1, left + width // 2] = MUTED


def _gauge(canvas, top: int, tall: int, share: float, color) -> None:
    """A bar from the middle; positive goes to the left, as the vehicle does."""
    _bar(canvas, top, tall, -share, color, SIDE, SIDE_WIDTH)


def _bar(canvas, top, tall, share, color, left=SIDE + 104, width=SIDE_WIDTH - 104) -> None:
    middle = left + width // 2
    end = middle + round(float(np.clip(share, -1, 1)) * (width // 2))
    low, high = sorted((middle, end))
    canvas[top : top + tall, low : high + 1] = color


def _tick(canvas, top: int, tall: int, share: float, color) -> None:
    if np.isfinite(share):
        x = SIDE + SIDE_WIDTH // 2 - round(float(np.clip(share, -1, 1)) * (SIDE_WIDTH // 2))
        x = int(np.clip(x, SIDE + 1, SIDE + SIDE_WIDTH - 2))
        canvas[top : top + tall, x - 1 : x + 2] = color


def _number(value: float, output) -> str:
    if output is None or output.unit == "1":
        return _signed(value, 2)
    return f"{_signed(value, 3 if output.high < 1 else 1)} {output.unit}"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _figure(canvas: np.ndarray, x: int, text: str, unit: str) -> None:
    """A large number with its small unit."""
    write(canvas, (x, 118), text, INK, 30, True)
    write(canvas, (x + text_width(text, 30, True) + 6, 118), unit, MUTED, 15)


def _tag(canvas: np.ndarray, x: int, y: int, text: str, color) -> None:
    """Text on a dark plate, legible on any image."""
    right = x + round(text_width(text, 14)) + 20
    cv2.rectangle(canvas, (x, y), (right, y + 25), BACKGROUND, -1)
    write(canvas, (x + 10, y + 18), text, color, 14)
