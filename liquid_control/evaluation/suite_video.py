"""Episodes of an evaluation driven again, to be looked at: frame, saliency, command, road."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import gymnasium
import numpy as np

from liquid_control.attention.overlay import overlay
from liquid_control.command import CURVATURE
from liquid_control.deploy.runtime import load_driver
from liquid_control.evaluation.dashboard import HEIGHT, SIDE, SIDE_WIDTH, Dashboard, Reading
from liquid_control.evaluation.episodes import Row
from liquid_control.evaluation.suite_data import Evaluation
from liquid_control.evaluation.suite_map import RoadMap
from liquid_control.evaluation.suite_roads import Course, course_of
from liquid_control.evaluation.suite_run import Job
from liquid_control.evaluation.video import Writer
from liquid_control.rollout import (
    Episode,
    ExpertPilot,
    Moment,
    PolicyPilot,
    make_world,
    run_episode,
)

__all__ = ["Film", "film"]

CLIP_S, AFTER_S = 20.0, 8.0
STANDS_S = 1.5  # how long the last picture stays
QUALITY = 25  # x264's constant rate factor
# At most so many bits and pictures per second: noise cannot be compressed, and would take 40 MB.
BITS, PICTURES = 4_000_000, 16
TRACE = 4000


@dataclass(frozen=True)
class Film:
    """A written video of an episode.

    Args:
        row: the episode as it was evaluated.
        path: of the video.
        poster: its last picture, JPEG.
        begin, end: part of the episode that it shows [s].
        differs: figures in which the episode came out otherwise than its row, empty if in none.
    """

    row: Row
    path: Path
    poster: bytes
    begin: float
    end: float
    differs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Shot:
    """What one picture of the video shows."""

    moment: Moment
    attention: np.ndarray | None


class _Watched(PolicyPilot):
    """A policy that also says where it looked."""

    def attention(self, frame: np.ndarray, noisy: bool) -> np.ndarray:
        """The frame as the policy saw it, with its saliency, uint8 RGB; smoothed if it is noisy."""
        seen = self._driver.policy.camera.apply(frame)
        # Over noise nobody sees a colour.
        shown = cv2.medianBlur(seen, 5) if noisy else seen
        return overlay(shown, self._driver.attention())


class _Clip:
    """Keeps the part of an episode that is worth seeing: its crash, or its largest error.

    Args:
        end: where the part ends if it is known before [s].
    """

    def __init__(self, end: float | None) -> None:
        self._end = end
        self._recent: deque[_Shot] = deque()
        self._worst, self._until = -1.0, -math.inf
        self.shots: list[_Shot] = []

    def wants(self, time: float) -> bool:
        """Whether a picture at `time` [s] may be shown."""
        return self._end is None or self._end - CLIP_S <= time < self._end

    def add(self, shot: _Shot) -> None:
        time = shot.moment.time
        if self._end is not None:
            self.shots.append(shot)
            return
        self._recent.append(shot)
        while self._recent[0].moment.time < time - (CLIP_S - AFTER_S):
            self._recent.popleft()
        error = abs(shot.moment.info.get("lateral_error", np.nan))
        if error > self._worst or not self.shots:
            self._worst = max(self._worst, error if math.isfinite(error) else -1.0)
            self.shots, self._until = list(self._recent), time + AFTER_S
        elif time <= self._until:
            self.shots.append(shot)


def film(evaluation: Evaluation, row: Row, path: Path, on_step: Callable[[], object]) -> Film:
    """Drive a row's episode again and write its worst 20 s as a video.

    Args:
        evaluation: what the row belongs to.
        row: the episode.
        path: of the video, `*.mp4`.
        on_step: called at every step of the world.

    Raises:
        InputError: the episode cannot be driven again: its model or condition is not known any
            more, or has changed.
    """
    import torch

    # As evaluated: the number of threads may move the last bit of a sum.
    torch.set_num_threads(1)
    job = evaluation.job(row)
    pilot = _Watched(load_driver(job.source.folder)) if job.source else ExpertPilot()
    env = make_world(job.world, **json.loads(job.made))
    end = row.episode.seconds if row.episode.crashed else None
    try:
        episode, shots, course = _again(env, pilot, job, end, on_step)
        if end not in (None, episode.seconds):
            # It came out otherwise than evaluated: its end, which a clip needs, is known only now.
            end = episode.seconds if episode.crashed else None
            episode, shots, course = _again(env, pilot, job, end, on_step)
        picture = _write(path, env, shots, course, _title(evaluation, row), episode)
    finally:
        env.close()
    jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    begin, end = shots[0].moment.time, shots[-1].moment.time
    return Film(row, path, jpeg, begin, end, _differences(row.episode, episode))


def _again(
    env: gymnasium.Env, pilot, job: Job, end: float | None, on_step: Callable[[], object]
) -> tuple[Episode, list[_Shot], Course]:
    clip = _Clip(end)
    courses: list[Course] = []

    def keep(moment: Moment) -> None:
        if not courses:
            courses.append(course_of(env, moment.info))
        if clip.wants(moment.time):
            looked = isinstance(pilot, _Watched)
            frame = np.array(moment.frame)
            attention = pilot.attention(frame, job.perturbation.noise > 0) if looked else None
            kept = Moment(moment.time, frame, np.array(moment.action), moment.info)
            clip.add(_Shot(kept, attention))
        on_step()

    episode = run_episode(
        *(env, pilot, job.seed),
        options=json.loads(job.reset) or None,
        perturbation=job.perturbation,
        on_moment=keep,
    )
    return episode, clip.shots, courses[0]


def _write(
    path: Path,
    env: gymnasium.Env,
    shots: list[_Shot],
    course: Course,
    title: str,
    episode: Episode,
) -> np.ndarray:
    """Write the pictures; the last one, which stays for a while, comes back."""
    output = env.unwrapped.command.outputs[0]
    errors = [abs(shot.moment.info.get("lateral_error", np.nan)) for shot in shots]
    lateral = None
    if np.isfinite(errors).any():
        largest = float(np.nanmax(errors))
        lateral = next((half for half in (0.5, 1.0, 2.0, 5.0, 10.0) if largest <= half), largest)
    board = Dashboard(title, (), 1.0, lateral, output.name, output.high)
    top = board.neurons_top + 6
    road = RoadMap(course, SIDE_WIDTH, HEIGHT - top - 20)
    trace: list[tuple[float, float]] = []
    writer, due = Writer(path, QUALITY, BITS), -math.inf
    try:
        for index, shot in enumerate(shots):
            info, last = shot.moment.info, index == len(shots) - 1
            crashed = last and episode.crashed
            placed = "x" in info and "yaw" in info
            if placed:
                trace.append((info["x"], info["y"]))
            if not last and shot.moment.time < due:
                continue
            due = shot.moment.time + 1 / PICTURES
            reading = _reading(shot, output.name, crashed)
            picture = board.draw(shot.moment.frame, shot.attention, reading)
            if placed:
                seen = road.draw(info["x"], info["y"], info["yaw"], np.array(trace[-TRACE:]))
                picture[top : top + seen.shape[0], SIDE : SIDE + SIDE_WIDTH] = seen
            writer.add(picture, round(shot.moment.time * 1e9))
        if shots:
            writer.add(picture, round((shots[-1].moment.time + STANDS_S / 2) * 1e9))
            writer.add(picture, round((shots[-1].moment.time + STANDS_S) * 1e9))
    finally:
        writer.close()
    return picture


def _reading(shot: _Shot, output: str, crashed: bool) -> Reading:
    info = shot.moment.info
    marks = ()
    if output == CURVATURE.name and "curvature" in info:
        marks = (
            ("road", info["curvature"], "target"),
            ("driven", info.get("curvature_driven", np.nan), "driven"),
        )
    return Reading(
        time=shot.moment.time,
        output=output,
        asked=float(shot.moment.action[0]),
        marks=marks,
        speed=info.get("speed", np.nan),
        lateral_error=info.get("lateral_error", np.nan),
        crashed=crashed,
    )


def _title(evaluation: Evaluation, row: Row) -> str:
    condition = evaluation.name(row.condition, row.level)
    return f"{row.model} · {condition} · seed {row.episode.seed}"


def _differences(before: Episode, after: Episode) -> tuple[str, ...]:
    """Names of the figures that are not the same to the bit."""
    one, other = asdict(before), asdict(after)
    return tuple(name for name in one if not _same(one[name], other[name]))


def _same(one: object, other: object) -> bool:
    return one == other or (one != one and other != other)
