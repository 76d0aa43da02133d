"""How tight the run-time guarantees of a model are, and which damaged weights they notice.

python benchmarks/guarantees.py tightness driving_ncp data/driving_v1/000004
    how much of its provable bounds a model uses: on a drive, and by features meant to reach them
python benchmarks/guarantees.py flips driving_ncp data/driving_v1/000004
    one bit of the circuit's weights flips before 5 s of a drive; what the command and the check say
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from tqdm import tqdm

from liquid_control import models
from liquid_control.circuits.flat import flat, put
from liquid_control.data.drive import load_drive
from liquid_control.evaluation.statistics import wilson_interval
from liquid_control.policy import Driver, Policy
from liquid_control.policy.guarantees import Guarantees, Violation

# A change of the command that matters, as a share of its limit.
MATTERS = 0.1


class _Features(nn.Module):
    """In the place of the head: features that were computed before."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.size, self.layers = head.size, head.layers
        self.values = torch.zeros(1, head.features)

    def forward(self, frames: Tensor, return_activations: bool) -> tuple[Tensor, list[Tensor]]:
        return self.values, []


def _prepared(model: str, bag: Path, frames: int) -> tuple[Policy, Tensor, float]:
    torch.set_num_threads(1)
    policy = Policy.load(models.find(model))
    drive = load_drive(bag, policy.camera, ())
    with torch.inference_mode():
        features = torch.cat(
            [
                policy.head(torch.from_numpy(np.array(drive.frames[at : at + 1])))
                for at in range(min(frames, len(drive)))
            ]
        )
    policy.head = _Features(policy.head)
    return policy, features, drive.period


def _run(
    driver: Driver, guarantees: Guarantees, features: Tensor, elapsed: float
) -> tuple[np.ndarray, Violation | None]:
    """Commands (frames, outputs), and the first violation."""
    frame = np.zeros((*driver.policy.head.size, 3), np.uint8)
    driver.reset()
    commands, found = [], None
    for row in features:
        driver.policy.head.values = row[None]
        decision = driver.step(frame, elapsed)
        found = found or guarantees.check(decision)
        commands.append(decision.command)
    return np.array(commands), found


def tightness(
    model: tyro.conf.Positional[str], bag: tyro.conf.Positional[Path], tries: int = 4000
) -> None:
    """Shares of the bounds that are reached.

    Args:
        model: name or folder.
        bag: a drive of it.
        tries: patterns of features, each of which drives synapses to their ends.
    """
    policy, features, elapsed = _prepared(model, bag, 540)
    guarantees = Guarantees.of(policy)
    _, found = _run(Driver(policy), guarantees, features, elapsed)
    print(f"a drive: at most {guarantees.largest_share()} of a bound; violation: {found}")
    random = torch.Generator().manual_seed(0)
    rows = 1e4 * (torch.rand(tries, 1, policy.circuit.inputs, generator=random) < 0.5)
    with torch.inference_mode():
        _, state = policy.circuit(rows.repeat(1, 10, 1), None, 10.0)
        constants = policy.circuit.time_constants(rows[:, 0], state)
    low, high = guarantees.state.low, guarantees.state.high
    reached = state.amax(0).clamp(min=0).numpy() - state.amin(0).clamp(max=0).numpy()
    shares = reached / (high - low)
    print(f"states, {tries} patterns: mean {shares.mean():.2f}, most {shares.max():.3f}")
    limits = guarantees.time_constants
    seen = np.log(constants.amax(0).numpy() / constants.amin(0).numpy())
    shares = seen / np.log(limits.high / limits.low)
    print(f"time constants, on a log scale: mean {shares.mean():.2f}, most {shares.max():.3f}")


def flips(
    model: tyro.conf.Positional[str], bag: tyro.conf.Positional[Path], count: int = 1000
) -> None:
    """Single bits of float32 weights of the circuit, at random.

    Args:
        model: name or folder.
        bag: a drive of it.
        count: of flips.
    """
    policy, features, elapsed = _prepared(model, bag, 150)
    guarantees, driver = Guarantees.of(policy), Driver(policy)
    shipped = flat(policy.circuit)
    usual, found = _run(driver, guarantees, features, elapsed)
    if found:
        raise AssertionError(f"a violation without damage: {found}")
    random = np.random.default_rng(0)
    rows = []
    for _ in tqdm(range(count), unit="flip"):
        place, bit = int(random.integers(len(shipped))), int(random.integers(32))
        changed = shipped.clone()
        changed.view(torch.int32)[place] ^= torch.tensor(1 << bit if bit < 31 else -(2**31)).int()
        put(policy.circuit, changed)
        commands, found = _run(driver, guarantees, features, elapsed)
        change = np.abs(commands - usual) / policy.spec.high
        rows.append((bit, bool((~(change <= MATTERS)).any()), found is not None))
    bits, matters, noticed = np.array(rows).T
    for name, chosen in (
        ("mantissa", bits < 23),
        ("exponent", (bits >= 23) & (bits < 31)),
        ("sign", bits == 31),
    ):
        change = matters[chosen] > 0
        caught = int((noticed[chosen][change] > 0).sum())
        low, high = wilson_interval(caught, int(change.sum())) if change.any() else (0.0, 1.0)
        print(
            f"{name}: {chosen.sum()} flips, {change.sum()} move the command by more than "
            f"{MATTERS:.0%} of its limit, {caught} of these are noticed ({low:.0%} to {high:.0%})"
            f", of the others {int((noticed[chosen][~change] > 0).sum())}"
        )


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"tightness": tightness, "flips": flips})
