"""Frames of a world as a `sources.Source`: a model or the world's expert drives, now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import gymnasium

from liquid_control.analysis.sources import KINDS, Raw, Source
from liquid_control.errors import InputError, nearest_first
from liquid_control.rollout import Pilot, check_world, make_world, split_options
from liquid_control.rollout.pilots import has_expert

__all__ = ["world_source"]


def world_source(
    text: str,
    pilot: Pilot,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    episodes: int | None = 1,
    road: bool = False,
) -> Source:
    """A pilot drives through a world, one episode after another.

    Args:
        text: name of the world, with or without its namespace.
        pilot: who drives.
        seed: of the first episode; the next ones follow.
        options: of the world.
        episodes: how many; None for as many as somebody looks at.
        road: also say where the road is, where the world can.

    Raises:
        InputError: there is no such world, or the pilot does not fit it.
    """
    worlds = [name for name in gymnasium.registry if name.startswith("liquid_control/")]
    names = [name for name in worlds if text in (name, name.rpartition("/")[2])]
    if not names and ":" not in text:
        short = [name.rpartition("/")[2] for name in worlds]
        raise InputError(
            f"There is nothing at {text!r}, and no world of that name; give {KINDS}. The worlds "
            f"are {nearest_first(text, short)}."
        )
    name = names[0] if names else text
    made, reset = split_options(name, options or {})
    check_world(name, reset, pilot, **made)

    def read(skipped: Counter[str]) -> Iterator[Raw]:
        env = make_world(name, **made)
        world, rate = env.unwrapped, env.metadata["render_fps"]
        try:
            drive = 0
            while episodes is None or drive < episodes:
                frame, _ = env.reset(seed=seed + drive, options=reset or None)
                pilot.reset(env, seed + drive)
                step, over = 0, False
                while not over:
                    expert = world.expert_action() if has_expert(env) else ()
                    given = dict(zip(world.command.names, map(float, expert), strict=False))
                    where = world.road_mask() if road and hasattr(world, "road_mask") else None
                    yield Raw(round(step * 1e9 / rate), drive, frame, given, where)
                    action = pilot.act(env, frame, 1 / rate)
                    frame, _, terminated, truncated, _ = env.step(action)
                    step, over = step + 1, terminated or truncated
                drive += 1
        finally:
            env.close()

    return Source("world", name.rpartition("/")[2], read)
