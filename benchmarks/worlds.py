"""Camera steps per second of our worlds and of Gymnasium's CarRacing-v3, in one run.

    python benchmarks/worlds.py                 one core, prints a table
    python benchmarks/worlds.py --json-file F   writes it as JSON, too

Needs gymnasium[box2d]. The worlds take turns, so that a change of the machine's speed meets all of
them; the ratio of the medians is the figure to quote. Driving-v1 draws season, weather, light and
road from its seed, in each turn another one. All run on one core, which other programs may share:
seconds are those of the processor.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

import gymnasium
import numpy as np
import tyro

from liquid_control.rollout import make_world

STEPS = 150  # 5 s of driving, a turn
PHYSICS_STEPS = 8  # of MuJoCo, in a step of our worlds
PEER = "CarRacing-v3, 96 x 96"
BLIND = ", physics alone"


def turn(env: gymnasium.Env, action: Callable[[gymnasium.Env], np.ndarray], seed: int) -> float:
    """Steps per second of processor time in one stretch, without making and resetting the world."""
    env.reset(seed=seed)
    started = time.process_time()
    for _ in range(STEPS):
        _, _, terminated, truncated, _ = env.step(action(env))
        if terminated or truncated:
            env.reset(seed=seed)
    return STEPS / (time.process_time() - started)


def expert(env: gymnasium.Env) -> np.ndarray:
    return env.unwrapped.expert_action()


def still(env: gymnasium.Env) -> np.ndarray:
    """Straight on, or on the spot: what an expert thinks is not part of the physics."""
    return np.array([0.0, 8.0] if len(env.unwrapped.command) == 2 else [0.0] * 4, np.float32)


def straight(env: gymnasium.Env) -> np.ndarray:
    return np.array([0.0, 0.1, 0.0], np.float32)


def main(turns: int = 7, json_file: Path | None = None) -> None:
    """Measure.

    Args:
        turns: stretches of each world.
        json_file: also write the table here.
    """
    # Before there is OpenGL, whose threads would share the work of some worlds and not of others.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    peer = gymnasium.make("CarRacing-v3")
    worlds = {PEER: (peer, straight)}
    for name, size in (
        ("Driving-v0", "78 x 200"),
        ("Driving-v1", "78 x 200"),
        ("Drone-v0", "144 x 256"),
    ):
        world = f"liquid_control/{name}"
        worlds[f"{name}, {size}"] = make_world(world), expert
        worlds[f"{name}{BLIND}"] = make_world(world, camera=False), still
    rates: dict[str, list[float]] = {name: [] for name in worlds}
    for seed in range(turns + 1):
        for name, (env, action) in worlds.items():
            rate = turn(env, action, seed)
            if seed:  # The first turn warms up.
                rates[name].append(rate)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    base = medians[PEER]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    for name, median in medians.items():
        low, high = min(rates[name]), max(rates[name])
        line = f"{name:28} {median:8.0f} steps/s ({low:.0f} to {high:.0f})"
        if name.endswith(BLIND):
            print(f"{line}  {median * PHYSICS_STEPS:,.0f} mj_step/s")
        else:
            print(f"{line}  x {median / base:.2f}")
    if json_file:
        json_file.write_text(json.dumps({"steps_per_second": rates, "median": medians}, indent=1))


if __name__ == "__main__":
    tyro.cli(main)
