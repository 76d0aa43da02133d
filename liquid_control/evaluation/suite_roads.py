"""Where an evaluation's episodes went: their roads from above, with the places of crashes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gymnasium
import numpy as np
from matplotlib.collections import PolyCollection

from liquid_control.errors import InputError
from liquid_control.evaluation.episodes import Row
from liquid_control.evaluation.figure_style import (
    ASKED,
    INK,
    MUTED,
    PAPER,
    RULE,
    canvas,
    model_colors,
    to_svg,
)
from liquid_control.evaluation.suite_data import Evaluation
from liquid_control.rollout import make_world, split_options

__all__ = ["Course", "Tile", "course_of", "tiles"]

TILE = (320.0, 220.0)  # [px]
MARGIN_M = 12.0
# Half of the width of CarRacing's track [m].
TRACK_HALF = 40 / 6


@dataclass(frozen=True, eq=False)
class Course:
    """What an episode was about, from above; lines are (points, 2) [m], empty where there is none.

    Attributes:
        lane: line to be driven.
        left, right: edges of the road, point by point beside each other.
        start: (2,).
        goals: (goals, 2).
    """

    lane: np.ndarray
    left: np.ndarray
    right: np.ndarray
    start: np.ndarray
    goals: np.ndarray

    @property
    def quads(self) -> np.ndarray:
        """The road's surface as quadrilaterals (pieces, 4, 2)."""
        left, right = self.left, self.right
        return np.stack([left[:-1], left[1:], right[1:], right[:-1]], axis=1)


@dataclass(frozen=True)
class Tile:
    """One road with its crashes.

    Args:
        seed: of the world.
        svg: the map.
        crashes, episodes: how many of how many that were driven there.
        text: who crashed in which condition.
    """

    seed: int
    svg: str
    crashes: int
    episodes: int
    text: str


def course_of(env: gymnasium.Env, info: dict[str, float]) -> Course:
    """The course of the episode that `env.reset` has begun with `info`."""
    world, none = env.unwrapped, np.zeros((0, 2))
    start = np.array([info.get("x", np.nan), info.get("y", np.nan)])
    if hasattr(world, "road"):
        road = world.road
        return Course(road.lane, road.left_edge, road.right_edge, start, none)
    track = getattr(world, "track", None)
    if hasattr(track, "heading"):
        side = np.stack([-np.sin(track.heading), np.cos(track.heading)], axis=1) * TRACK_HALF
        edges = (track.points, track.points + side, track.points - side)
        return Course(*(np.concatenate([line, line[:1]]) for line in edges), start, none)
    goals = np.array([world.target[:2]]) if hasattr(world, "target") else none
    return Course(none, none, none, start, goals)


def tiles(
    evaluation: Evaluation, world: str, most: int, on_tile: Callable[[], object]
) -> tuple[list[Tile], int]:
    """The roads of a world with the most crashes, and how many roads had any.

    Args:
        evaluation: whose.
        world: its Gymnasium name.
        most: tiles.
        on_tile: called after each.
    """
    rows = [row for row in evaluation.rows if row.world == world and row.episode.error is None]
    crashed: dict[int, list[Row]] = {}
    for row in rows:
        if row.episode.crashed and row.episode.end_x is not None:
            crashed.setdefault(row.episode.seed, []).append(row)
    chosen = sorted(crashed, key=lambda seed: (-len(crashed[seed]), seed))[:most]
    found = []
    with _Courses(evaluation) as courses:
        for seed in chosen:
            count = sum(row.episode.seed == seed for row in rows)
            found.append(_tile(evaluation, courses(crashed[seed][0]), crashed[seed], count))
            on_tile()
    return found, len(crashed)


class _Courses:
    """Courses of rows; a world is made once for all episodes that are made alike."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self._made: tuple | None = None
        self._env: gymnasium.Env | None = None

    def __enter__(self) -> _Courses:
        return self

    def __exit__(self, *_: object) -> None:
        if self._env is not None:
            self._env.close()

    def __call__(self, row: Row) -> Course | None:
        """The course of a row's episode; None where it cannot be made again."""
        try:
            job = self._evaluation.job(row, with_model=False)
            if self._made != (job.world, job.made):
                self.__exit__()
                # Physics alone, where a world can do without pictures.
                blind, _ = split_options(job.world, {"camera": False})
                self._env = make_world(job.world, **json.loads(job.made) | blind)
                self._made = (job.world, job.made)
            _, info = self._env.reset(seed=job.seed, options=json.loads(job.reset) or None)
        except InputError:
            return None
        return course_of(self._env, info)


def _tile(evaluation: Evaluation, course: Course | None, rows: Sequence[Row], count: int) -> Tile:
    ends = np.array([[row.episode.end_x, row.episode.end_y] for row in rows])
    seed, colors = rows[0].episode.seed, model_colors(evaluation.models)
    course = course or Course(*(np.zeros((0, 2)),) * 3, np.full(2, np.nan), np.zeros((0, 2)))
    seen = _seen(course, ends)
    centre = seen.mean(axis=0)
    turn = _longest_across(seen - centre)

    def place(points: np.ndarray) -> np.ndarray:
        return (points - centre) @ turn

    low, high = place(seen).min(axis=0) - MARGIN_M, place(seen).max(axis=0) + MARGIN_M
    middle = (low + high) / 2
    scale = max((high - low) / np.array(TILE)) / 2
    figure = canvas(*TILE)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for axis, centre_of, half in zip("xy", middle, scale * np.array(TILE), strict=True):
        getattr(axes, f"set_{axis}lim")(centre_of - half, centre_of + half)
    if len(course.left) > 1:
        # Of a long road only what can be seen is drawn: the page holds many.
        near = np.abs(place(course.lane) - middle).max(axis=1) < 1.2 * max(TILE) * scale
        quads = place(course.quads)[near[:-1]]
        axes.add_collection(PolyCollection(quads, facecolors=RULE, edgecolors=RULE, linewidths=0.6))
        line = place(course.lane)[near]
        broken = np.linalg.norm(np.diff(line, axis=0), axis=1) > 20
        line = np.insert(line, np.flatnonzero(broken) + 1, np.nan, axis=0)
        axes.plot(*line[::3].T, color=MUTED, linewidth=0.6, linestyle=(0, (5, 5)))
    if np.isfinite(course.start).all():
        axes.plot(*place(course.start), "o", mfc=PAPER, mec=INK, markersize=6, mew=1.4)
    for goal in place(course.goals):
        axes.plot(*goal, "*", color=ASKED, markersize=11, mew=0)
    for row, end in zip(rows, place(ends), strict=True):
        cross = {"color": colors[row.model], "markersize": 10, "mec": PAPER, "mew": 0.8}
        axes.plot(*end, "X", alpha=0.85, **cross)
    text = "; ".join(
        f"{model}: "
        + ", ".join(evaluation.name(row.condition, row.level) for row in rows if row.model == model)
        for model in dict.fromkeys(row.model for row in rows)
    )
    name = f"tile-{rows[0].world}-{seed}".replace("/", "-").lower()
    svg = to_svg(figure, name, f"Road of seed {seed} with {len(rows)} crashes")
    return Tile(seed, svg, len(rows), count, text)


def _seen(course: Course, ends: np.ndarray) -> np.ndarray:
    """Points (N, 2) [m] that a map should hold: from the start to the last crash."""
    parts = [ends, *(each for each in (course.goals,) if len(each))]
    if np.isfinite(course.start).all():
        parts.append(course.start[None])
        if len(course.lane):
            near = [int(_nearest(course.lane, point)) for point in (*ends, course.start)]
            first, last = min(near), max(near)
            parts.append(course.lane[first : last + 1])
    return np.concatenate(parts)


def _nearest(line: np.ndarray, point: np.ndarray) -> int:
    return int(np.argmin(np.linalg.norm(line - point, axis=1)))


def _longest_across(points: np.ndarray) -> np.ndarray:
    """Rotation (2, 2) that lays the longest direction of points about 0 along x."""
    if len(points) < 2:
        return np.eye(2)
    _, _, axes = np.linalg.svd(points, full_matrices=False)
    return np.stack([axes[0], [-axes[0][1], axes[0][0]]], axis=1)
