"""Jobs of scale.py; a module of their own, so that other processes find them by name."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass

import numpy as np

from liquid_control.rollout.bundle import Bundle
from liquid_control.rollout.episode import run_episode
from liquid_control.rollout.episode_bag import load_policy, load_world
from liquid_control.rollout.pilots import PolicyPilot

__all__ = ["WORLD", "Drive", "Ended", "drive", "megabytes", "nothing"]

WORLD = "liquid_control/Driving-v1"
MADE = json.dumps({"seconds": 1e9})


@dataclass(frozen=True)
class Drive:
    """One episode, as evaluations have them."""

    model: Bundle
    seconds: float
    seed: int


@dataclass(frozen=True)
class Ended:
    """Which process ended an episode, when [s], and after what processor time of its own [s]."""

    process: int
    at: float
    spent: float
    episode: object


def drive(job: Drive) -> Ended:
    env, pilot = load_world(WORLD, MADE), PolicyPilot(load_policy(job.model.folder))
    episode = run_episode(env, pilot, job.seed, seconds=job.seconds)
    return Ended(os.getpid(), time.monotonic(), time.process_time(), episode)


def nothing(number: int) -> int:
    return number


def megabytes(count: int) -> np.ndarray:
    return np.zeros(count * 2**20, np.uint8)
