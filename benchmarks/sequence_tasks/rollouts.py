"""Recordings of HalfCheetah and Walker2d, and the prediction tasks made of them.

The controllers of `walkers` walk, 5 % of their actions are overwritten by random ones (recipe of
the LTC paper), and networks predict the next observation, 17 numbers, from those before. Of
Walker2d one frame in ten is dropped at random, and the elapsed times say so (recipe of the CfC and
ODE-LSTM papers).
"""

from __future__ import annotations

import os
from pathlib import Path

import gymnasium
import numpy as np

from liquid_control.errors import InputError
from sequence_tasks.data import Data, Split
from sequence_tasks.walkers import ROBOTS, Controller

__all__ = ["cut", "dropped", "prediction_data", "record", "recording_path"]

# Walkers fall over a random action after 300 frames or so; so there are more, shorter episodes.
EPISODES = {"halfcheetah": 25, "walker2d": 80}
STEPS = 1000
RANDOM_SHARE = 0.05
LENGTH = 32  # samples a sequence
FIRST_SEED = 5000
# Recordings of each part, as in the papers: 10 of 25 to train on for the cheetah, 75 % for walkers.
PARTS = {
    "halfcheetah": {"validation": 5, "test": 10, "train": 10},
    "walker2d": {"validation": 8, "test": 12, "train": 60},
}
STRIDE = {"halfcheetah": 10, "walker2d": 8}
KEPT = {"halfcheetah": 1.0, "walker2d": 0.9}


def recording_path(robot: str, folder: Path) -> Path:
    """Where the recordings of a robot lie."""
    return folder / f"{robot}.npz"


def record(robot: str, folder: Path, episodes: int = 0, steps: int = STEPS) -> Path:
    """Write the recordings: "observations" (frames, 17) float32 and "lengths" (episodes,).

    Runs that end early (a walker that fell) are as long as they are. `episodes` is the number of
    `EPISODES` by default.
    """
    env = gymnasium.make(ROBOTS[robot])
    controller = Controller.load(robot)
    rows, lengths = [], []
    for seed in range(FIRST_SEED, FIRST_SEED + (episodes or EPISODES[robot])):
        rng = np.random.default_rng(seed)
        observation, _ = env.reset(seed=seed)
        episode, over = [observation], False
        while not over and len(episode) < steps:
            action = controller(observation)
            if rng.random() < RANDOM_SHARE:
                action = rng.uniform(-1, 1, action.shape)
            observation, _, terminated, truncated, _ = env.step(action.astype(np.float32))
            episode.append(observation)
            over = terminated or truncated
        rows.append(np.array(episode, np.float32))
        lengths.append(len(episode))
    env.close()
    path = recording_path(robot, folder)
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{robot}.{os.getpid()}.partial.npz")
    np.savez_compressed(partial, observations=np.concatenate(rows), lengths=np.array(lengths))
    os.replace(partial, path)
    return path


def dropped(
    episode: np.ndarray, kept: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples (n, features), elapsed times (n,) and targets (n, features) of an episode.

    Each frame is kept with probability `kept`. Its elapsed time is the number of frames since the
    one kept before it, its target the frame right after it.
    """
    rows = np.flatnonzero(rng.random(len(episode) - 1) < kept)
    return episode[rows], np.diff(rows, prepend=-1).astype(np.float32), episode[rows + 1]


def cut(arrays: tuple[np.ndarray, ...], length: int, stride: int) -> list[tuple[np.ndarray, ...]]:
    """Overlapping pieces of `length` samples of arrays (samples, ...)."""
    starts = range(0, len(arrays[0]) - length + 1, stride)
    return [tuple(array[start : start + length] for array in arrays) for start in starts]


def prediction_data(robot: str, folder: Path) -> Data:
    """The task's data, shifted and scaled by the training part's means and one common deviation.

    One scale for all features keeps the loss the mean squared error in the simulator's units, but
    for the factor `unit` squared. Elapsed times are in frames.

    Raises:
        InputError: the recordings are missing or too short.
    """
    path = recording_path(robot, folder)
    if not path.is_file():
        raise InputError(
            f"Expected the recordings {path}, found none; make them with `python "
            "benchmarks/sequences.py rollouts`."
        )
    with np.load(path) as file:
        episodes = np.split(file["observations"], np.cumsum(file["lengths"])[:-1])
    parts, begin = {}, 0
    for part, count in PARTS[robot].items():
        parts[part] = episodes[begin : begin + count]
        begin += count
    if len(episodes) < begin or not parts["train"]:
        raise InputError(f"Expected {begin} episodes in {path}, got {len(episodes)}; delete it.")
    middle = np.concatenate(parts["train"]).mean(0)
    unit = float(np.concatenate(parts["train"]).std(0).max())
    rng = np.random.default_rng(0)
    made = {}
    for part, chosen in parts.items():
        pieces = []
        for episode in chosen:
            scaled = (episode - middle) / unit
            pieces += cut(dropped(scaled, KEPT[robot], rng), LENGTH, STRIDE[robot])
        columns = zip(*pieces, strict=True)
        inputs, elapsed, targets = (np.stack(each).astype(np.float32) for each in columns)
        made[part] = Split(inputs, elapsed, targets, np.full(len(inputs), LENGTH - 1))
    still = float(np.mean((made["test"].inputs - made["test"].targets) ** 2)) * unit**2
    return Data(**made, outputs=inputs.shape[2], unit=unit, reference=still)
