"""How a policy for a real car steers on the simulated track that looks like the real one.

python benchmarks/rc_track_transfer.py                      correlation with the expert's steering
python benchmarks/rc_track_transfer.py --tub TUB --sheet F  also frames of both, side by side

The expert drives Driving-v1's track in the hall; a policy is shown every frame, and its steering is
compared with the expert's. A person at 20 frames a second steers ahead of what the camera saw, so
the correlation is given for a few lags.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import gymnasium
import numpy as np
import torch
import tyro
from tqdm import trange

import liquid_control.envs  # noqa: F401  (registers the worlds)
from liquid_control import models
from liquid_control.policy import Driver, Policy

# A Donkeycar's camera: 160 x 120, 100 degrees wide.
CAMERA = {"width": 160, "height": 120, "camera_fovy": 84.0}
LAGS = (0, 2, 4, 6)  # frames


def main(
    model: str = "rc_track_ncp",
    seeds: int = 10,
    seconds: float = 15.0,
    first_seed: int = 0,
    tub: Path | None = None,
    sheet: Path | None = None,
) -> None:
    """Measure.

    Args:
        model: name or folder.
        seeds: tracks.
        seconds: driven on each [s].
        first_seed: of the first track.
        tub: folder of a Donkeycar tub's images, for the sheet.
        sheet: write frames of the tub above frames of the world to this file.
    """
    torch.set_num_threads(1)
    env = gymnasium.make(
        "liquid_control/Driving-v1", scene="rc_track", actions="steering", **CAMERA
    ).unwrapped
    driver = Driver(Policy.load(models.find(model)))
    asked, given, frames = [], [], []
    for seed in trange(first_seed, first_seed + seeds, unit="track"):
        frame, _ = env.reset(seed=seed)
        driver.reset()
        expert, policy = [], []
        for step in range(round(seconds * env.metadata["render_fps"])):
            action = env.expert_action()
            expert.append(action[0])
            policy.append(driver.step(frame, 1 / env.metadata["render_fps"]).command[0])
            if step == 60:
                frames.append(frame)
            frame, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                break
        asked.append(np.array(expert))
        given.append(np.array(policy))
    env.close()
    print("policy ahead of the expert by  correlation")
    for lag in LAGS:
        early = np.concatenate([values[: len(values) - lag] for values in given])
        late = np.concatenate([values[lag:] for values in asked])
        print(f"{lag:2} frames {np.corrcoef(early, late)[0, 1]:31.2f}")
    if sheet is not None:
        write_sheet(frames, tub, sheet)


def write_sheet(frames: list[np.ndarray], tub: Path, path: Path, columns: int = 5) -> None:
    """Real frames in the upper row, simulated ones in the lower."""
    photos = sorted(tub.glob("*.jpg"), key=lambda photo: int(photo.name.split("_")[0]))
    chosen = [photos[len(photos) * (2 * i + 1) // (2 * columns)] for i in range(columns)]
    upper = np.hstack([cv2.imread(str(photo)) for photo in chosen])
    lower = np.hstack([cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in frames[:columns]])
    image = cv2.resize(np.vstack([upper, lower]), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    path.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())
    print(path)


if __name__ == "__main__":
    tyro.cli(main)
