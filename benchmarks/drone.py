"""Figures and pictures of Drone-v0, for its page (docs/worlds/drone.md).

python benchmarks/drone.py expert --episodes 200    success of the expert, every task and scene
python benchmarks/drone.py speed                    steps per second of one thread
python benchmarks/drone.py sheets docs/worlds       contact sheets of seasons, weather, targets
"""

from __future__ import annotations

import itertools
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import tyro
from PIL import Image

from liquid_control.envs.drone import DroneEnv
from liquid_control.envs.drone.options import COLOURS, SCENES, SHAPES, TASKS
from liquid_control.envs.drone.quadrotor import KINDS, Quadrotor
from liquid_control.envs.scene.season import SEASONS
from liquid_control.evaluation.statistics import wilson_interval

PHYSICS_STEPS = 8  # a frame
LIGHTS = (
    ("day", "clear"),
    ("day", "overcast"),
    ("day", "fog"),
    ("day", "rain"),
    ("dusk", "clear"),
    ("night", "clear"),
)


def expert(episodes: int = 200, kind: str = "x2", rough: bool = False) -> None:
    """Fly the expert, without camera.

    Args:
        episodes: seeds 0, 1, ... of every task in every scene.
        kind: of drone, x2 or nano.
        rough: with wind (3 m/s), gusts (1 m/s), motor noise (5 %), dense obstacles, 3 distractors.
    """
    options = {"density": 1.0, "distractors": 3, "wind": 3.0, "gusts": 1.0, "motor_noise": 0.05}
    env = DroneEnv(kind=kind, camera=False, **(options if rough else {}))
    print("scene   task     success                     seconds  collisions  slew [m/s^2]")
    for scene, task in itertools.product(SCENES, TASKS):
        successes, collisions, seconds, slews, failed = 0, 0, [], [], []
        for seed in range(episodes):
            _, info = env.reset(seed=seed, options={"scene": scene, "task": task})
            actions, ended = [], False
            while not ended:
                actions.append(env.expert_action())
                _, _, terminated, truncated, info = env.step(actions[-1])
                ended = terminated or truncated
            successes += int(info["success"])
            collisions += int(info["collisions"])
            seconds.append(info["time"])
            slews.append(np.abs(np.diff(actions, axis=0)[:, :2]).mean() * 30)
            if not info["success"]:
                failed.append(seed)
        low, high = wilson_interval(successes, episodes)
        print(
            f"{scene:7} {task:8} {successes:3}/{episodes} = {successes / episodes:6.1%} "
            f"({low:.1%} to {high:.1%}) {statistics.mean(seconds):8.1f} {collisions:11} "
            f"{statistics.mean(slews):13.2f}  {f'failed: {failed}' if failed else ''}",
            flush=True,
        )


def flight() -> None:
    """Answers to a step of each axis, from hovering in calm air, held for 4 s."""
    print("kind  step             rise to 90 %  overshoot  error after 4 s")
    for kind in KINDS:
        drone = Quadrotor.alone(kind)
        for axis, (name, value) in enumerate(
            (("vx", 2.0), ("vy", 2.0), ("vz", 1.0), ("yaw_rate", 1.0))
        ):
            drone.place(0.0, 0.0, 100.0, 0.0)
            command, track = [0.0] * 4, []
            command[axis] = value
            for _ in range(4 * 240):
                drone.step(tuple(command), 1 / 240)
                track.append(getattr(drone.pose, name) / value)
            rise = np.argmax(np.array(track) > 0.9) / 240
            print(
                f"{kind:5} {name:8} {value} {rise:15.2f} s "
                f"{max(max(track) - 1, 0):11.1%} {track[-1] - 1:14.1%}"
            )


def speed(turns: int = 5, steps: int = 150) -> None:
    """Steps per second of one process, with the camera and without; medians.

    Args:
        turns: stretches of each, taken by turns.
        steps: of a stretch.
    """
    worlds = {
        (scene, camera): DroneEnv(scene=scene, camera=camera)
        for scene in SCENES
        for camera in (True, False)
    }
    rates: dict[tuple, list[tuple[float, float]]] = {key: [] for key in worlds}
    hover = np.zeros(4, np.float32)
    for turn in range(turns + 1):
        for key, env in worlds.items():
            env.reset(seed=turn)
            started, used = time.perf_counter(), time.process_time()
            for _ in range(steps):
                env.step(hover)
            wall, cpu = time.perf_counter() - started, time.process_time() - used
            if turn:  # The first one warms up.
                rates[key].append((steps / wall, steps / cpu))
    for (scene, camera), pairs in rates.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
        if camera:
            print(f"{scene}: {wall:.0f} frames/s of 144 x 256 ({cpu:.0f} per second of CPU)")
        else:
            wall, cpu = wall * PHYSICS_STEPS, cpu * PHYSICS_STEPS
            print(f"{scene}: {wall:.0f} mj_step/s without camera ({cpu:.0f} per second of CPU)")


def _sheet(rows: list[list[tuple[str, np.ndarray]]]) -> np.ndarray:
    """Pictures with labels in rows and columns."""
    lines = []
    for row in rows:
        tiles = []
        for label, picture in row:
            tile = picture.copy()
            for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                place, font = (6, 14), cv2.FONT_HERSHEY_SIMPLEX
                cv2.putText(tile, label, place, font, 0.42, colour, thickness, cv2.LINE_AA)
            tiles.append(tile)
        lines.append(np.hstack(tiles))
    return np.vstack(lines)


def sheets(folder: tyro.conf.Positional[Path]) -> None:
    """Draw drone_forest.png, drone_city.png (a row each season, a column each light),
    drone_targets.png (shapes and colours, as the camera sees them at the start) and
    drone_chase.png (both drones from behind).

    Args:
        folder: where the pictures go.
    """
    env = DroneEnv()
    found = {}
    for scene in SCENES:
        rows = []
        for index, season in enumerate(SEASONS):
            row = []
            for column, (daytime, weather) in enumerate(LIGHTS):
                weather = "snow" if (season, weather) == ("winter", "rain") else weather
                options = {
                    "scene": scene,
                    "season": season,
                    "daytime": daytime,
                    "weather": weather,
                    "distractors": column % 3,
                }
                picture = env.reset(seed=10 * index + column, options=options)[0]
                row.append((f"{season}, {weather if daytime == 'day' else daytime}", picture))
            rows.append(row)
        found[f"drone_{scene}"] = _sheet(rows)
    rows = []
    for shape in SHAPES:
        looks = [
            {"target": shape, "colour": colour, "scene": SCENES[index % 2]}
            for index, colour in enumerate(COLOURS)
        ]
        rows.append(
            [
                (f"{look['colour']} {shape}", env.reset(seed=40 + index, options=look)[0])
                for index, look in enumerate(looks)
            ]
        )
    found["drone_targets"] = _sheet(rows)
    env.close()
    rows = []
    for kind, season in (("x2", "summer"), ("nano", "autumn")):
        env = DroneEnv(kind=kind, render_mode="rgb_array", camera=False, season=season)
        row = []
        for seed, scene in enumerate(SCENES):
            env.reset(seed=3 + seed, options={"scene": scene})
            for _ in range(45):
                env.step(env.expert_action())
            row.append((kind, cv2.resize(env.render(), (480, 270), interpolation=cv2.INTER_AREA)))
        rows.append(row)
        env.close()
    found["drone_chase"] = _sheet(rows)
    for name, picture in found.items():
        path = folder / f"{name}.png"
        # The two lowest bits are grain, and half of the room.
        Image.fromarray(picture & 0xFC | 0x02).save(path, optimize=True)
        print(path)


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict(
        {"expert": expert, "flight": flight, "speed": speed, "sheets": sheets}
    )
