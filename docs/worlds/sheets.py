"""Draw the contact sheets of Driving-v1 for its page.

python docs/worlds/sheets.py            into docs/worlds
python docs/worlds/sheets.py --output F into another folder
"""

from __future__ import annotations

from pathlib import Path

import cv2
import gymnasium
import numpy as np
import tyro

import liquid_control.envs  # noqa: F401  (registers the worlds)
from liquid_control.envs.scene.light import DAYTIMES, WEATHERS
from liquid_control.envs.scene.season import SEASONS

HERE = Path(__file__).parent
TILE = 400, 156  # [px]
HILLY = 2, 4, 5, 9  # seeds of roads that go up and down near their start


def frame(env: gymnasium.Env, seed: int, steps: int = 60, **options) -> np.ndarray:
    """What the camera sees after the expert has driven for `steps`."""
    env.reset(seed=seed, options=options)
    for _ in range(steps):
        image, _, terminated, truncated, _ = env.step(env.unwrapped.expert_action())
        if terminated or truncated:
            break
    return image


def meeting(env: gymnasium.Env, seed: int, **options) -> np.ndarray:
    """What the camera sees when another car is 9 to 14 m ahead."""
    image, info = env.reset(seed=seed, options=options)
    world = env.unwrapped
    for _ in range(3600):
        x, y, yaw = info["x"], info["y"], info["yaw"]
        others = world.traffic.poses(info["time"])[world.traffic.active, :2] - [x, y]
        ahead = others @ [np.cos(yaw), np.sin(yaw)]
        aside = others @ [-np.sin(yaw), np.cos(yaw)]
        if np.any((ahead > 9) & (ahead < 14) & (np.abs(aside) < 6)):
            break
        image, _, terminated, truncated, info = env.step(world.expert_action())
        if terminated or truncated:
            break
    return image


def sheet(rows: list[list[tuple[str, np.ndarray]]], path: Path, scale: float = 1.0) -> None:
    """Write a grid of labelled RGB images."""
    lines = []
    for row in rows:
        tiles = []
        for label, image in row:
            tile = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            tile = cv2.resize(tile, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
            for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                cv2.putText(
                    *(tile, label, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, thickness),
                    cv2.LINE_AA,
                )
            tiles.append(tile)
        lines.append(np.hstack(tiles))
    quality = [cv2.IMWRITE_JPEG_QUALITY, 88]
    path.write_bytes(cv2.imencode(".jpg", np.vstack(lines), quality)[1].tobytes())
    print(path)


def main(output: Path = HERE) -> None:
    """Draw.

    Args:
        output: folder to write into.
    """
    env = gymnasium.make("liquid_control/Driving-v1", width=TILE[0], height=TILE[1])
    rows = []
    for number, season in enumerate(SEASONS):
        row = []
        for index, weather in enumerate(WEATHERS):
            if weather == "snow" and season != "winter":
                weather = "overcast"
            options = {"season": season, "weather": weather, "daytime": "day"}
            label = f"{season}, {weather}"
            row.append((label, frame(env, 40 + 10 * number + index, **options)))
        rows.append(row)
    sheet(rows, output / "driving-seasons.jpg")
    rows = []
    for number, daytime in enumerate(DAYTIMES):
        row = []
        for index, weather in enumerate(WEATHERS):
            season = "winter" if weather == "snow" else "summer"
            options = {"season": season, "weather": weather, "daytime": daytime}
            row.append((f"{daytime}, {weather}", frame(env, 80 + 10 * number + index, **options)))
        rows.append(row)
    sheet(rows, output / "driving-light.jpg")
    plain = {"season": "summer", "daytime": "day", "weather": "clear"}
    rows = [
        [(f"{name}: {value}", frame(env, seed, **plain, **{name: value})) for value in values]
        for name, values, seed in (
            ("markings", ("solid", "dashed", "worn", "missing"), 7),
            ("visibility", (15, 30, 60, 200), 31),
        )
    ]
    rows.append(
        [(f"hills: 1, seed {seed}", frame(env, seed, **plain, hills=1.0)) for seed in HILLY]
    )
    cars = ("parked", "parked", "oncoming", "oncoming")
    rows.append(
        [
            (f"obstacles: {kind}", meeting(env, seed, **plain, obstacles=kind, density=1.0))
            for seed, kind in enumerate(cars)
        ]
    )
    sheet(rows, output / "driving-options.jpg")
    env.close()
    hall = gymnasium.make("liquid_control/Driving-v1", scene="rc_track", width=320, height=240)
    rows = [
        [
            (f"rc_track, seed {4 * row + column}", frame(hall, 4 * row + column))
            for column in range(4)
        ]
        for row in range(2)
    ]
    hall.close()
    sheet(rows, output / "driving-rc-track.jpg")
    chase = gymnasium.make("liquid_control/Driving-v1", camera=False, render_mode="chase")
    row = []
    for seed, season in enumerate(SEASONS):
        frame(chase, 60 + seed, season=season, daytime="day", hills=0.6)
        row.append((season, chase.render()))
    chase.close()
    sheet([row[:2], row[2:]], output / "driving-chase.jpg")


if __name__ == "__main__":
    tyro.cli(main)
