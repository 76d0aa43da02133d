"""Bags with the recorded topics of a drive or a replay, made from arithmetic with known results."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from liquid_control.data import messages
from liquid_control.data.bag import BagWriter

# `small_world` is imported by name, here and in the processes that evaluate in it.
sys.path.insert(0, str(Path(__file__).parent))

NEURONS = [
    *(f"inter_{i}" for i in range(12)),
    *(f"command_{i}" for i in range(6)),
    "motor_0",
]
START_NS = 4_000_000_000
PERIOD_NS = 33_333_333
SPEED = 8.0


def stamp(frame: int) -> int:
    return START_NS + frame * PERIOD_NS


def camera_frame(curvature: float, lateral: float, shape=(78, 200)) -> np.ndarray:
    """A road drawn flat: grey band towards a horizon, bending with the curvature."""
    rows, columns = shape
    image = np.empty((rows, columns, 3), np.uint8)
    horizon = int(0.35 * rows)
    image[:horizon] = (148, 182, 214)
    image[horizon:] = (92, 128, 70)
    for row in range(horizon, rows):
        near = (row - horizon + 1) / (rows - horizon)
        middle = columns / 2 + lateral * 18 * near - curvature * 900 * (1 - near) ** 2
        half = 6 + 0.36 * columns * near
        left, right = (int(np.clip(middle + s * half, 0, columns)) for s in (-1, 1))
        image[row, left:right] = (96, 96, 100)
        mark = int(np.clip(middle, 1, columns - 2))
        image[row, mark - 1 : mark + 1] = (236, 224, 170)
    return image


def saliency_map(curvature: float, shape=(78, 200)) -> np.ndarray:
    rows, columns = shape
    y, x = np.mgrid[:rows, :columns]
    spot = np.exp(-(((x - columns / 2 + curvature * 900) / 26) ** 2) - ((y - 0.5 * rows) / 9) ** 2)
    return (255 * spot).astype(np.uint8)


def drive_signals(frames: int) -> dict[str, np.ndarray]:
    """Everything a synthetic car does, per frame; the road winds with 0.03 1/m."""
    time = np.arange(frames) * PERIOD_NS / 1e9
    distance = SPEED * time
    curvature = 0.03 * np.sin(distance / 18) * np.minimum(1, distance / 40)
    heading = np.concatenate([[0.0], np.cumsum(curvature[:-1] * np.diff(distance))])
    step = SPEED * PERIOD_NS / 1e9
    road = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1) * step, axis=0)
    lateral = 0.25 * np.sin(distance / 11) + 0.1 * np.sin(distance / 3.3)
    side = np.stack([-np.sin(heading), np.cos(heading)], axis=1)
    line = road + lateral[:, None] * side
    rng = np.random.default_rng(0)
    return {
        "time": time,
        "distance": distance,
        "curvature": curvature,
        "curvature_driven": np.roll(curvature, 4) - 0.004 * lateral,
        "asked": np.roll(curvature, 3) - 0.005 * lateral + 0.001 * rng.standard_normal(frames),
        "lateral_error": lateral,
        "heading_error": 0.02 * np.cos(distance / 11),
        "yaw": heading,
        "x": line[:, 0],
        "y": line[:, 1],
        "speed": np.full(frames, SPEED),
        "off_road": np.zeros(frames),
        "lane_departure": np.zeros(frames),
        "age": 0.006 + 0.001 * rng.gamma(2.0, 1.0, frames),
        "road": road,
        "side": side,
    }


@pytest.fixture(scope="session")
def make_drive(tmp_path_factory):
    """`make_drive(frames, crash_at=..., without=(topics), skip=(frames))` -> run folder, signals.

    `skip` leaves out camera frames (and all that belongs to them), `unanswered` only decisions.
    """

    def make(
        frames: int = 60,
        crash_at: int | None = None,
        without: tuple[str, ...] = (),
        skip: tuple[int, ...] = (),
        unanswered: tuple[int, ...] = (),
        folder: Path | None = None,
    ):
        folder = folder or tmp_path_factory.mktemp("run")
        signals = drive_signals(frames)
        if crash_at is not None:
            signals["off_road"][crash_at] = 1
            signals["lateral_error"][crash_at] = 4.5
        with BagWriter(folder / "bag") as bag:
            bag.add_topic("/camera/image_raw", "sensor_msgs/msg/Image")

            def write(topic, message, at):
                if topic not in without:
                    bag.write(topic, message, at)

            _write_road(write, signals)
            for frame in range(frames):
                if frame not in skip:
                    _write_frame(write, signals, frame, frame not in unanswered)
        return folder, signals

    return make


def _write_road(write, signals) -> None:
    road, side = signals["road"], signals["side"]
    for name, offset in (("", 0.0), ("/left", 5.85), ("/right", -2.35)):
        line = (road + offset * side)[::10] if len(road) else np.zeros((0, 2))
        write(f"/simulator/road{name}", messages.path(line, START_NS), START_NS)


def _write_frame(write, signals, frame: int, answered: bool) -> None:
    at = stamp(frame)
    now = {key: values[frame] for key, values in signals.items()}
    image = camera_frame(now["curvature"], now["lateral_error"])
    write("/camera/image_raw", messages.image(image, at), at)
    keys = ("lateral_error", "heading_error", "distance", "speed", "curvature", "curvature_driven")
    keys += ("x", "y", "yaw", "off_road", "lane_departure", "time")
    state = messages.named_vector(keys, [now[key] for key in keys], at)
    write("/simulator/state", state, at)
    odometry = messages.odometry(now["x"], now["y"], now["yaw"], SPEED, 0.0, at)
    write("/odom", odometry, at)
    if not answered:
        return
    later = at + 8_000_000
    phases = np.arange(len(NEURONS))
    before = np.sin(now["distance"] / 18 + phases) * np.linspace(0.2, 0.9, len(NEURONS))
    constants = 0.05 * 1.2**phases * (1 + 0.3 * np.sin(now["distance"] / 18))
    neurons = messages.named_vector(NEURONS, before, at, velocity=constants)
    write("/policy/neurons", neurons, later)
    names = [*NEURONS, "elapsed", "reset", "curvature"]
    audit = [*before, PERIOD_NS / 1e9, float(frame == 0), now["asked"]]
    write("/policy/decision", messages.named_vector(names, audit, at, "00ff"), later)
    timing = messages.named_vector(["age", "inference"], [now["age"], 0.6 * now["age"]], at)
    write("/policy/latency", timing, later)
    rate = now["asked"] * SPEED
    write("/cmd_vel", messages.twist_stamped(SPEED, rate, at), later)
    safe = messages.twist_stamped(SPEED, float(np.clip(rate, -0.1, 0.1)), at)
    write("/cmd_vel_safe", safe, later)
    saliency = saliency_map(now["curvature"])
    write("/policy/attention", messages.image(saliency, at), later)
    share = saliency[..., None] / 255
    shown = (image * (1 - share) + np.array([255, 60, 20]) * share).astype(np.uint8)
    data = cv2.imencode(".jpg", shown[..., ::-1])[1]
    overlay = messages.compressed_image(data, at, format="jpeg")
    write("/policy/attention/overlay/compressed", overlay, later)


@pytest.fixture(scope="session")
def make_replay(tmp_path_factory):
    """`make_replay(frames)` -> run folder, steering shown (N,), steering asked (N,)."""

    def make(frames: int = 60, folder: Path | None = None):
        folder = folder or tmp_path_factory.mktemp("replay")
        time = np.arange(frames) / 20
        shown = 0.6 * np.sin(time) + 0.2 * np.sin(3.1 * time)
        asked = 0.8 * shown + 0.05 * np.random.default_rng(1).standard_normal(frames)
        with BagWriter(folder / "bag") as bag:
            for frame in range(frames):
                at = START_NS + frame * 50_000_000
                image = camera_frame(0.04 * shown[frame], 0.0, shape=(120, 160))
                data = cv2.imencode(".jpg", image[..., ::-1])[1]
                camera = messages.compressed_image(data, at, format="jpeg")
                bag.write("/camera/image_raw/compressed", camera, at)
                human = messages.named_vector(["steering", "throttle"], [shown[frame], 0.4], at)
                bag.write("/expert/command", human, at)
                names = [*NEURONS, "elapsed", "reset", "steering"]
                state = 0.5 * np.sin(time[frame] + np.arange(len(NEURONS)))
                audit = [*state, 0.05, float(frame == 0), asked[frame]]
                bag.write("/policy/decision", messages.named_vector(names, audit, at), at)
                neurons = messages.named_vector(NEURONS, state, at, velocity=np.full(19, 0.2))
                bag.write("/policy/neurons", neurons, at)
                small = cv2.resize(image, (200, 78))
                jpeg = cv2.imencode(".jpg", small[..., ::-1])[1]
                overlay = messages.compressed_image(jpeg, at, format="jpeg")
                bag.write("/policy/attention/overlay/compressed", overlay, at)
        return folder, shown, asked

    return make
