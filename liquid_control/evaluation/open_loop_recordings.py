"""Recordings as open loop needs them: what was recorded, how fast it went, what each model asks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from liquid_control.camera import CameraSetup, Intrinsics, Viewpoint
from liquid_control.command import CURVATURE, SPEED, curvature_from_yaw_rate
from liquid_control.data.bag import BagReader
from liquid_control.data.drive import Drive, find_bags, load_drive, stamp_or_log_time
from liquid_control.data.importers.donkeycar import import_donkeycar
from liquid_control.data.sequences import elapsed_times
from liquid_control.errors import InputError
from liquid_control.evaluation.open_loop import Exported, answers, answers_of_export
from liquid_control.evaluation.open_loop_autonomy import deviations, driven_with_views
from liquid_control.policy import Policy

__all__ = ["Recording", "bags_of", "follow"]

ODOMETRY, CAMERA_INFO = "/odom", "/camera/camera_info"
TUB = "manifest.json"


@dataclass(eq=False)
class Recording:
    """One bag, frame by frame, and what models make of it.

    Args:
        path: of the bag.
        stamps: int64 (frames,) [ns].
        runs: [start, stop) of stretches without a gap.
        elapsed: (frames,) since the frame before [s].
        period: median of it [s].
        recorded: output to the recorded command (frames,), in the output's unit.
        speed: (frames,) [m/s], None where nothing tells it.
        driven: (frames,) curvature of the vehicle's path [1/m], None where nothing tells it.
        asked: model to output to command (frames,).
        left: model to the way (frames,) [m] to the left of the recorded path.
        away: model to bool (frames,), interventions.
    """

    path: Path
    stamps: np.ndarray
    runs: list[tuple[int, int]]
    elapsed: np.ndarray
    period: float
    recorded: dict[str, np.ndarray]
    speed: np.ndarray | None
    driven: np.ndarray | None
    asked: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    left: dict[str, np.ndarray] = field(default_factory=dict)
    away: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.stamps)

    @property
    def run_numbers(self) -> np.ndarray:
        """int (frames,), the number of the stretch that each frame lies in."""
        return np.repeat(np.arange(len(self.runs)), [stop - start for start, stop in self.runs])

    @property
    def seconds(self) -> np.ndarray:
        """(frames,) since the first frame [s]."""
        return (self.stamps - self.stamps[0]) * 1e-9


def bags_of(data: Sequence[Path], imported: Path) -> list[Path]:
    """The bags at or below each path; a Donkeycar tub becomes a bag in `imported` first.

    Raises:
        InputError: a path holds neither.
    """
    found: list[Path] = []
    tubs: dict[Path, Path] = {}
    for path in data:
        if (path / TUB).is_file():
            tub = path.resolve()
            if tub not in tubs:
                # Donkeycar calls every tub `data`.
                alike = sum(each.name == tub.name for each in tubs)
                tubs[tub] = imported / (f"{tub.name}-{alike + 1}" if alike else tub.name)
                import_donkeycar(path, tubs[tub], overwrite=True)
            found.append(tubs[tub])
        else:
            found += find_bags(path)
    return list(dict.fromkeys(found))


def follow(
    bag: Path,
    policies: Mapping[str, Policy],
    camera_height: float | None,
    on_frames: Callable[[int], object],
    exports: Mapping[str, Exported] = MappingProxyType({}),
) -> Recording:
    """Let every model answer a bag's frames.

    Args:
        bag: the recording.
        policies: by name.
        camera_height: of the recording's camera above the road [m]; given, models are shown the
            road as from where they would be when autonomy is measured.
        on_frames: called with a number of frames as they are done.
        exports: by name, what answers in the place of the policy that it was made from.

    Raises:
        InputError: the bag lacks a model's output, or what `camera_height` needs.
    """
    recording: Recording | None = None
    for name, policy in policies.items():
        drive = load_drive(bag, policy.camera, policy.spec.names)
        if recording is None:
            recording = _recording(bag, drive, policy.camera)
        for column, output in enumerate(policy.spec.names):
            recording.recorded.setdefault(output, drive.labels[:, column].astype(np.float64))
        made = exports.get(name)
        commands = answers(policy, drive) if made is None else answers_of_export(made, drive)
        columns = commands.T.astype(np.float64)
        recording.asked[name] = dict(zip(policy.spec.names, columns, strict=True))
        on_frames(len(drive))
        if CURVATURE.name in policy.spec.names and recording.speed is not None:
            _beside(recording, name, policy, drive, camera_height, on_frames)
    return recording


def _beside(
    recording: Recording,
    name: str,
    policy: Policy,
    drive: Drive,
    camera_height: float | None,
    on_frames: Callable[[int], object],
) -> None:
    recorded = recording.recorded[CURVATURE.name]
    if camera_height is None:
        more = recording.asked[name][CURVATURE.name] - recorded
        found = deviations(more, recording.speed, recording.elapsed, recording.runs)
    else:
        view = _viewpoint(recording.path, policy.camera, camera_height)
        path = recorded if recording.driven is None else recording.driven
        found = driven_with_views(policy, drive, view, path, recording.speed, lambda: on_frames(1))
    recording.left[name], recording.away[name] = found


def _recording(bag: Path, drive: Drive, camera: CameraSetup) -> Recording:
    speed, driven = _motion(bag, drive.stamps)
    if speed is None:
        speed = _label(bag, camera, SPEED.name)
    return Recording(
        path=bag,
        stamps=drive.stamps,
        runs=drive.runs(),
        elapsed=elapsed_times(drive).astype(np.float64),
        period=drive.period,
        recorded={},
        speed=speed,
        driven=driven,
    )


def _label(bag: Path, camera: CameraSetup, name: str) -> np.ndarray | None:
    """A recorded command (frames,) where the labels have it."""
    try:
        return load_drive(bag, camera, (name,)).labels[:, 0].astype(np.float64)
    except InputError:
        return None


def _motion(bag: Path, stamps: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Speed [m/s] and curvature [1/m] (frames,) by odometry, None where there is none."""
    times, speeds, curvatures = [], [], []
    with BagReader(bag) as reader:
        if not reader.topics.get(ODOMETRY, ("", 0))[1]:
            return None, None
        for _, logged, message in reader.messages([ODOMETRY]):
            twist = message.twist.twist
            times.append(stamp_or_log_time(message, logged))
            speeds.append(twist.linear.x)
            curvatures.append(curvature_from_yaw_rate(twist.angular.z, twist.linear.x))
    order = np.argsort(times, kind="stable")
    # Relative to the first frame: float64 has no room for nanoseconds since 1970.
    at = (np.array(times, np.int64)[order] - stamps[0]) * 1e-9
    frames = (stamps - stamps[0]) * 1e-9
    columns = (np.array(each, float)[order] for each in (speeds, curvatures))
    speed, curvature = (np.interp(frames, at, column) for column in columns)
    return speed, curvature


def _viewpoint(bag: Path, setup: CameraSetup, height: float) -> Viewpoint:
    """What shifts the frames that `setup` prepares from a bag's camera.

    Raises:
        InputError: no intrinsics in the bag, or no horizon in the setup.
    """
    with BagReader(bag) as reader:
        message = None
        if reader.topics.get(CAMERA_INFO, ("", 0))[1]:
            _, _, message = next(iter(reader.messages([CAMERA_INFO])))
    if message is None or message.k[0] <= 0:
        raise InputError(
            f"--camera-height needs the camera's intrinsics on {CAMERA_INFO}, which {bag} does not "
            "hold; leave the option out, and autonomy is measured on the recorded frames."
        )
    if setup.horizon is None:
        raise InputError(
            "--camera-height needs the row of the horizon in the model's camera setup, which is "
            "not known; set `horizon` in its config.json, or leave the option out."
        )
    fx, fy = (float(message.k[index]) for index in (0, 4))
    cx, cy = (float(message.k[index]) for index in (2, 5))
    across = setup.width / message.width
    down = setup.height / ((setup.bottom - setup.top) * message.height)
    top = setup.top * message.height
    camera = Intrinsics(
        *(setup.width, setup.height, fx * across, fy * down),
        *((cx + 0.5) * across - 0.5, (cy + 0.5 - top) * down - 0.5),
    )
    pitch = math.atan((camera.cy + 0.5 - setup.horizon * setup.height) / camera.fy)
    return Viewpoint(camera, pitch, height)
