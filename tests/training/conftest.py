"""Small recordings to train on, made once a session.

Makes `post_world` importable by name, here and in the processes that drive in it.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from liquid_control.data.bag import BagWriter
from liquid_control.data.messages import named_vector, png_image
from liquid_control.rollout.record import record
from liquid_control.training.recipe import Recipe

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def one_thread():
    """Sums on one thread are the same to the bit every time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def post_bag(folder: Path, frames: int, seed: int = 0, period: int = 33_333_333) -> Path:
    """Frames in which a bright post stands where to steer: left is positive."""
    rng = np.random.default_rng(seed)
    with BagWriter(folder) as writer:
        for index in range(frames):
            stamp = 1_000_000_000 + index * period
            left = (index // 8) % 2 == 0
            frame = rng.integers(0, 60, (78, 200, 3), np.uint8)
            x = 40 if left else 140
            cv2.rectangle(frame, (x, 20), (x + 20, 70), [220] * 3, -1)
            writer.write("/camera/image_raw/compressed", png_image(frame, stamp), stamp)
            label = named_vector(["curvature", "speed"], [0.03 if left else -0.03, 8.0], stamp)
            writer.write("/expert/command", label, stamp)
    return folder


@pytest.fixture(scope="session")
def write_posts() -> Callable[..., Path]:
    return post_bag


@pytest.fixture(scope="session")
def posts(tmp_path_factory) -> Path:
    """A bag of 96 frames at 30 Hz."""
    return post_bag(tmp_path_factory.mktemp("data") / "posts", 96)


@pytest.fixture(scope="session")
def roads(tmp_path_factory) -> Path:
    """Two drives of Driving-v1's expert, two seconds each."""
    folder = tmp_path_factory.mktemp("roads")
    record("liquid_control/Driving-v1", folder, episodes=2, seconds=2.0, disturb=0.0)
    return folder


@pytest.fixture(scope="session")
def small(posts) -> Callable[..., Recipe]:
    """A recipe for a training of seconds, with changes."""

    def make(**changes) -> Recipe:
        settings = {
            "data": (str(posts),),
            "model": "posts",
            "length": 4,
            "shift": 4,
            "epochs": 2,
            "batch": 4,
            "validation": 0.0,
            "head_rate": 2e-3,
            "circuit_rate": 2e-2,
            "warmup": 3,
        }
        return Recipe(**(settings | changes))

    return make
