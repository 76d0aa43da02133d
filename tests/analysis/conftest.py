"""A circuit whose important synapses are known, and small bags: of training, and of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_control.circuits import LTC, Wiring
from liquid_control.circuits.synapses import inverse_softplus
from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.data import messages
from liquid_control.data.bag import BagWriter
from liquid_control.policy import Driver, Policy
from liquid_control.policy.fingerprint import (
    Hashes,
    build_facts,
    configuration_hash,
    text_hash,
    weights_hash,
)

PERIOD_NS = 33_333_333
SPEC = CommandSpec((CURVATURE,))
CHAIN = ("sensory 0 to inter 0", "inter 0 to command 0", "command 0 to motor 0")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def chain() -> LTC:
    """A circuit in which the first input reaches the motor neuron through `CHAIN` alone: all other
    synapses conduct a ten-thousandth of it."""
    sensory, adjacency = np.zeros((32, 5), np.int8), np.zeros((5, 5), np.int8)
    sensory[:, :2] = 1
    adjacency[:2, 2:4] = -1
    adjacency[2:4, 4] = 1
    circuit = LTC(Wiring(32, 2, 2, 1, sensory, adjacency))
    with torch.no_grad():
        for part in (circuit.sensory, circuit.recurrent):
            part.raw_weight.fill_(float(inverse_softplus(torch.tensor(1e-4))))
            part.midpoint.fill_(0.0)
            part.slope.fill_(4.0)
            strong = (part.pairs[0] == 0) & (part.pairs[1] == 0)
            if part is circuit.recurrent:
                strong = np.isin(part.pairs.T, ((0, 2), (2, 4))).all(1)
            part.raw_weight[torch.from_numpy(strong)] = 1.0
        # Inhibition of the command neuron is seen in a motor neuron that it holds up.
        circuit.leak_potential.fill_(0.5)
        circuit.output_weight.fill_(1.0)
        circuit.output_bias.fill_(0.0)
    return circuit


@pytest.fixture
def policy() -> Policy:
    """A policy of the flagship's kind with random weights that answers to what it sees."""
    made = Policy(SPEC).eval()
    with torch.no_grad():
        made.circuit.output_weight.fill_(2.0)
    return made


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Policy, str], Path]:
    def save(policy: Policy, name: str) -> Path:
        policy.save(tmp_path / "models" / name)
        return tmp_path / "models" / name

    return save


def picture(number: int) -> np.ndarray:
    """A road's edge that swings from side to side."""
    frame = np.full((78, 200, 3), (90, 130, 90), np.uint8)
    middle = round(100 + 60 * np.sin(number / 5))
    frame[30:, middle - 30 : middle + 30] = 70
    frame[30:, middle - 2 : middle + 2] = 250
    return frame


@pytest.fixture
def picture_of() -> Callable[[int], np.ndarray]:
    """The picture of a frame of these bags."""
    return picture


@pytest.fixture
def training_bag(tmp_path: Path) -> Callable[..., Path]:
    """training_bag(name, frames=45, gap_after=None): frames with an expert's curvature."""

    def make(name: str = "000001", frames: int = 45, gap_after: int | None = None) -> Path:
        with BagWriter(tmp_path / "bags" / name, "") as bag:
            for number in range(frames):
                late = gap_after is not None and number > gap_after
                at = 10**9 + number * PERIOD_NS + 10**9 * late
                bag.write("/camera/image_raw", messages.image(picture(number), at), at)
                shown = [0.03 * np.sin(number / 5), 8.0]
                label = messages.named_vector(["curvature", "speed"], shown, at)
                bag.write("/expert/command", label, at)
        return tmp_path / "bags" / name

    return make


@pytest.fixture
def run_bag(tmp_path: Path, save) -> Callable[..., Path]:
    """run_bag(policy, frames=36, lie=0.0): a run folder as a policy node and its recorder leave it;
    `lie` is added to the command of the last decision but nine."""

    def make(policy: Policy, frames: int = 36, lie: float = 0.0) -> Path:
        folder = save(policy, "driver")
        text = json.dumps(
            {
                "format": "liquid_control facts 1",
                "node": "/policy",
                "model": str(folder),
                "weights": weights_hash(policy),
                "configuration": configuration_hash(policy),
                "image": "/camera/image_raw",
                "command": "/cmd_vel",
                "parameters": {"nominal_period": 1 / 30, "max_gap": 0.2, "speed": 5.0},
                "build": build_facts(),
            }
        )
        driver = Driver(policy)
        with BagWriter(tmp_path / "run" / "bag", "") as bag:
            bag.write("/policy/facts", messages.string(text), 10**9)
            for number in range(frames):
                at = 10**9 + number * PERIOD_NS
                image = messages.image(picture(number), at)
                made = driver.step(picture(number), PERIOD_NS * 1e-9 if number else 1 / 30)
                told = made.command + (lie if number == frames - 10 else 0)
                names = [*policy.state_names, "number", "elapsed", "reset", *policy.spec.names]
                figures = [number, made.elapsed, float(made.reset)]
                values = np.concatenate([made.state_before, figures, told])
                hashes = Hashes(
                    made.frame_hash,
                    messages.image_hash(image),
                    weights_hash(policy),
                    text_hash(text),
                ).sealed(at, names, values)
                neurons = messages.named_vector(
                    policy.state_names, made.state, at, f"number={number}", made.time_constants
                )
                bag.write("/camera/image_raw", image, at)
                decision = messages.named_vector(names, values, at, str(hashes))
                bag.write("/policy/decision", decision, at + 1)
                bag.write("/policy/neurons", neurons, at + 2)
        return tmp_path / "run"

    return make
