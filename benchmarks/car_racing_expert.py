"""What the privileged expert of `liquid_control/CarRacing-v0` scores, without a camera.

    python benchmarks/car_racing_expert.py                            200 laps, a few minutes
    python benchmarks/car_racing_expert.py --json-file F              writes every lap, too
    python benchmarks/car_racing_expert.py --pictures docs/worlds     draws those of its page

The score is CarRacing-v3's sum of rewards within its 1000 frames. Seeds from 10000 on were not
used to tune the expert.
"""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path

import cv2
import gymnasium
import numpy as np
import tyro
from tqdm import tqdm

from liquid_control.envs.car_racing.variants import VARIANTS
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


def labelled(picture: np.ndarray, text: str, scale: float = 2.5) -> np.ndarray:
    """A picture, enlarged without smoothing, under a line of text."""
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    sheet = cv2.copyMakeBorder(large, 24, 3, 3, 3, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    font = cv2.FONT_HERSHEY_SIMPLEX
    return cv2.putText(sheet, text, (6, 17), font, 0.5, (0, 0, 0), 1, cv2.LINE_AA)


def draw(folder: Path) -> None:
    """The pictures of docs/worlds/car_racing.md."""
    env = make_world(WORLD, render_mode="rgb_array").unwrapped

    def seen(seed: int, **options) -> np.ndarray:
        frame, _ = env.reset(seed=seed, options=options)
        for _ in range(80):  # into the first bend
            frame = env.step(env.expert_action())[0]
        return frame

    def write(name: str, picture: np.ndarray) -> None:
        done, content = cv2.imencode(".png", picture[..., ::-1])
        assert done
        replace_file(folder / name, content.tobytes())

    rows = [
        np.hstack([labelled(seen(seed, variant=v), f"{v}, seed {seed}") for v in VARIANTS])
        for seed in (1, 2)
    ]
    write("car_racing_variants.png", np.vstack(rows))
    colours = [labelled(seen(seed, domain_randomize=True), f"seed {seed}") for seed in range(6)]
    write("car_racing_randomize.png", np.hstack(colours))
    seen(2)
    write("car_racing.png", env.render())
    write("car_racing_line.png", line_map(env))
    env.close()


def line_map(env: gymnasium.Env, size: int = 640) -> np.ndarray:
    """A track from above and the lap driven on it, coloured by speed (blue slow, red fast)."""
    _, info = env.reset(seed=2)
    places, ended = [(info["x"], info["y"], info["speed"])], False
    while not ended:
        *_, terminated, truncated, info = env.step(env.expert_action())
        places.append((info["x"], info["y"], info["speed"]))
        ended = terminated or truncated
    tiles = np.array([corners for corners, _ in env._racing.road_poly])
    low, high = tiles.reshape(-1, 2).min(0) - 10, tiles.reshape(-1, 2).max(0) + 10
    scale = size / (high - low).max()

    def pixels(points: np.ndarray) -> np.ndarray:
        return np.round((np.asarray(points) - low) * scale * 16).astype(np.int32)

    picture = np.full((*np.ceil((high - low)[::-1] * scale).astype(int), 3), 255, np.uint8)
    for tile in tiles:
        cv2.fillPoly(picture, [pixels(tile)], (205, 205, 205), cv2.LINE_AA, 4)
    places = np.array(places)
    shades = np.clip(places[:, 2] / places[:, 2].max() * 255, 0, 255).astype(np.uint8)
    colours = cv2.applyColorMap(shades[:, None], cv2.COLORMAP_TURBO)[:, 0, ::-1]
    points = pixels(places[:, :2])
    for start, stop, colour in zip(points, points[1:], colours, strict=False):
        cv2.line(picture, start.tolist(), stop.tolist(), colour.tolist(), 3, cv2.LINE_AA, 4)
    return picture[::-1]


def main(
    episodes: int = 200,
    seed: int = 10000,
    json_file: Path | None = None,
    pictures: Path | None = None,
) -> None:
    """Drive and print.

    Args:
        episodes: how many laps, each on its own track.
        seed: of the first; the others follow.
        json_file: also write figures and laps here.
        pictures: instead, draw the pictures of the world's page into this folder.
    """
    if pictures:
        draw(pictures)
        return
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
