"""Camera steps per second of our driving world and of Gymnasium's CarRacing-v3, in one run.

    python benchmarks/worlds.py                 one thread, prints a table
    python benchmarks/worlds.py --json-file F   writes it as JSON, too

Needs gymnasium[box2d]. The two worlds take turns, so that a change of the machine's speed meets
both; the ratio of the medians is the figure to quote.
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


def turn(env: gymnasium.Env, action: Callable[[gymnasium.Env], np.ndarray], seed: int) -> float:
    """Steps per second of one stretch; making the world and resetting it do not count."""
    env.reset(seed=seed)
    started = time.perf_counter()
    for _ in range(STEPS):
        _, _, terminated, truncated, _ = env.step(action(env))
        if terminated or truncated:
            env.reset(seed=seed)
    return STEPS / (time.perf_counter() - started)


def expert(env: gymnasium.Env) -> np.ndarray:
    return env.unwrapped.expert_action()


def straight(env: gymnasium.Env) -> np.ndarray:
    return np.array([0.0, 0.1, 0.0], np.float32)


def main(turns: int = 7, json_file: Path | None = None) -> None:
    """Measure.

    Args:
        turns: stretches of each world.
        json_file: also write the table here.
    """
    ours = make_world("liquid_control/Driving-v0")
    physics = make_world("liquid_control/Driving-v0", camera=False)
    peer = gymnasium.make("CarRacing-v3")
    worlds = {
        "CarRacing-v3, 96 x 96": (peer, straight),
        "Driving-v0, 78 x 200": (ours, expert),
        "Driving-v0, physics alone": (physics, expert),
    }
    rates: dict[str, list[float]] = {name: [] for name in worlds}
    for seed in range(turns + 1):
        for name, (env, action) in worlds.items():
            rate = turn(env, action, seed)
            if seed:  # The first turn warms up.
                rates[name].append(rate)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    base = medians["CarRacing-v3, 96 x 96"]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    for name, median in medians.items():
        low, high = min(rates[name]), max(rates[name])
        print(f"{name:28} {median:8.0f} steps/s ({low:.0f} to {high:.0f})  x {median / base:.2f}")
    if json_file:
        json_file.write_text(json.dumps({"steps_per_second": rates, "median": medians}, indent=1))


if __name__ == "__main__":
    tyro.cli(main)
