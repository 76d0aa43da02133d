"""What the privileged expert of `liquid_control/CarRacing-v0` scores, without a camera.

    python benchmarks/car_racing_expert.py                              200 laps, about 3 minutes
    python benchmarks/car_racing_expert.py --episodes 50 --json-file F  writes every lap, too

The score is CarRacing-v3's sum of rewards within its 1000 frames. Seeds from 10000 on were not
used to tune the expert.
"""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path

import gymnasium
import numpy as np
import tyro
from tqdm import tqdm

from liquid_control.files import replace_file
from liquid_control.rollout import ExpertPilot, make_world, run_episode

WORLD = "liquid_control/CarRacing-v0"


def summary(scores: np.ndarray, successes: np.ndarray) -> dict[str, float]:
    """Figures of laps; a failure is a lap that was not finished in time."""
    return {
        "episodes": len(scores),
        "mean": float(scores.mean()),
        "standard_deviation": float(scores.std(ddof=1)) if len(scores) > 1 else 0.0,
        "min": float(scores.min()),
        "max": float(scores.max()),
        "share_of_900": float((scores >= 900).mean()),
        "failures": int((successes == 0).sum()),
    }


def main(episodes: int = 200, seed: int = 10000, json_file: Path | None = None) -> None:
    """Drive and print.

    Args:
        episodes: how many laps, each on its own track.
        seed: of the first; the others follow.
        json_file: also write figures and laps here.
    """
    env = make_world(WORLD, camera=False)
    laps = [run_episode(env, ExpertPilot(), seed + index) for index in tqdm(range(episodes))]
    env.close()
    scores = np.array([lap.reward for lap in laps])
    successes = np.array([lap.success for lap in laps])
    first = min(50, episodes)
    parts = {
        f"seeds {seed} to {seed + count - 1}": summary(scores[:count], successes[:count])
        for count in sorted({first, episodes})
    }
    for name, figures in parts.items():
        print(
            f"{name}: mean {figures['mean']:.1f}, sd {figures['standard_deviation']:.1f}, "
            f"min {figures['min']:.1f}, max {figures['max']:.1f}, "
            f"{100 * figures['share_of_900']:.1f} % at 900 or more, {figures['failures']} failures"
        )
    if json_file:
        content = {
            "world": WORLD,
            "command": "python " + " ".join(sys.argv),
            "python": platform.python_version(),
            "gymnasium": gymnasium.__version__,
            "summary": parts,
            "laps": [asdict(lap) for lap in laps],
        }
        replace_file(json_file, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
