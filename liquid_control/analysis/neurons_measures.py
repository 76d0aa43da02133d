"""Figures of a circuit over drives: principal components, time constants, influence of synapses.

Intervals are 95 % percentile bootstraps over blocks of 5 s, as neighbouring frames are alike; NaN
where all lies within one block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from liquid_control.analysis.ablation import Synapse, cut_outputs, synapses_of
from liquid_control.analysis.neurons_activity import Activity
from liquid_control.policy import Policy

__all__ = [
    "Components",
    "Coupling",
    "Influence",
    "components",
    "coupling",
    "hidden",
    "influence",
    "steering_of",
]

SETTLED_S = 1.0
BLOCK_S = 5.0
DRAWS = 1000
# What says where a vehicle turns to, left positive; else the first output.
STEERING = ("curvature", "steering", "yaw_rate")


def hidden(activity: Activity, policy: Policy) -> np.ndarray:
    """The hidden state (T, units): the first part of a circuit's state (neurons of a liquid circuit
    or a CT-RNN, h of an LSTM); the last hidden layer of a network without a memory."""
    sizes = policy.circuit.state_sizes
    return activity.states[:, : sizes[0]] if sizes else activity.features


def steering_of(policy: Policy) -> int:
    """The column of the output that turns the vehicle."""
    names = policy.spec.names
    return next((names.index(name) for name in STEERING if name in names), 0)


@dataclass(frozen=True)
class Components:
    """Principal components of a hidden state.

    Args:
        shares: (units,) of the variance, largest first, summing to 1; all 0 for a constant state.
        scaled_shares: the same with each neuron scaled to variance 1 first.
        mean: (units,).
        axes: (3, units), the first three components; zeros where there are fewer units.
        frames: that they were computed from.
    """

    shares: np.ndarray
    scaled_shares: np.ndarray
    mean: np.ndarray
    axes: np.ndarray
    frames: int

    def project(self, states: np.ndarray) -> np.ndarray:
        """Places (T, 3) of states along the first three components."""
        return (states - self.mean) @ self.axes.T

    @property
    def needed(self) -> int:
        """How many components hold 95 % of the variance."""
        return int(np.searchsorted(np.cumsum(self.shares), 0.95 - 1e-12) + 1)

    @property
    def dimension(self) -> float:
        """Participation ratio (sum of variances)^2 / sum of their squares: 1 for a line."""
        squares = float((self.shares**2).sum())
        return 1 / squares if squares else 0.0


def components(states: Sequence[np.ndarray]) -> Components:
    """Principal components of states (T, units) of one or more drives, about their common mean.

    shares_i = lambda_i / sum lambda, lambda the eigenvalues of the covariance of the states.
    """
    rows = np.concatenate(states).astype(np.float64)
    mean = rows.mean(0)
    centred = rows - mean
    units = rows.shape[1]
    values, vectors = np.linalg.eigh(centred.T @ centred / max(len(rows), 1))
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1].T
    deviation = centred.std(0)
    scaled = centred[:, deviation > 1e-9] / deviation[deviation > 1e-9]
    correlations = np.linalg.eigvalsh(scaled.T @ scaled / max(len(rows), 1))[::-1]
    axes = np.zeros((3, units))
    axes[: min(3, units)] = vectors[:3]
    # A component has no sign of its own: the larger part of it points up.
    axes *= np.where(axes.sum(1, keepdims=True) < 0, -1, 1)
    return Components(
        shares=_shares(values, units),
        scaled_shares=_shares(np.clip(correlations, 0, None), units),
        mean=mean,
        axes=axes,
        frames=len(rows),
    )


@dataclass(frozen=True)
class Coupling:
    """Time constants of each neuron against the command that turns the vehicle.

    Args:
        straight, left, right: (units,) medians [s] over the third of frames with the smallest
            |command|, and over the left and right turns of the third with the largest; NaN where a
            drive has none.
        limits: |command| up to which a frame is straight and from which it is a turn.
        size, side: (units, 3): correlation of log tau with |command| and with command, and the ends
            of its interval.
    """

    straight: np.ndarray
    left: np.ndarray
    right: np.ndarray
    limits: tuple[float, float]
    size: np.ndarray
    side: np.ndarray


def coupling(activities: Sequence[Activity], policy: Policy) -> Coupling | None:
    """How time constants go with the command; None where a circuit has none.

    Correlations are of log tau, as time constants span decades, with the state carried on for 1 s
    and more.
    """
    if any(each.constants is None for each in activities):
        return None
    column = steering_of(policy)
    keep = [each.settled(SETTLED_S) for each in activities]
    constants = np.concatenate([a.constants[k] for a, k in zip(activities, keep, strict=True)])
    command = np.concatenate([a.commands[k, column] for a, k in zip(activities, keep, strict=True)])
    if len(command) < 3:
        return None
    low, high = np.quantile(np.abs(command), (1 / 3, 2 / 3))
    turns = np.abs(command) >= high
    groups = (np.abs(command) <= low, turns & (command > 0), turns & (command < 0))
    medians = [
        np.median(constants[rows], 0) if rows.any() else np.full(constants.shape[1], np.nan)
        for rows in groups
    ]
    blocks = _blocks(activities, keep)
    logs = np.log(constants)
    return Coupling(
        *medians,
        (float(low), float(high)),
        _correlations(logs, np.abs(command), blocks),
        _correlations(logs, command, blocks),
    )


@dataclass(frozen=True)
class Influence:
    """What cutting each synapse changes of the command, over drives.

    Args:
        synapses: in the circuit's order.
        size: (synapses, 3): root mean square over frames and outputs of the change of the clipped
            command, as a share of half the output's range, and the ends of its interval.
        shift: (synapses, outputs), mean change, physical units.
        largest: (synapses, outputs), largest |change|.
        frames: of the drives.
    """

    synapses: list[Synapse]
    size: np.ndarray
    shift: np.ndarray
    largest: np.ndarray
    frames: int

    @property
    def order(self) -> np.ndarray:
        """Places of the synapses, the most influential first."""
        return np.argsort(-self.size[:, 0], kind="stable")

    @property
    def most(self) -> int:
        """How many synapses make 90 % of the sum of squared changes."""
        squares = np.sort(self.size[:, 0] ** 2)[::-1]
        return int(np.searchsorted(np.cumsum(squares), 0.9 * squares.sum()) + 1)


def influence(activities: Sequence[Activity], policy: Policy) -> Influence | None:
    """Cut each synapse through whole drives; None for a circuit without a wiring."""
    synapses = synapses_of(policy.circuit)
    if not synapses:
        return None
    cuts = [(), *((each.place,) for each in synapses)]
    half = (policy.spec.high - policy.spec.low) / 2
    squares, shift, largest, count = [], 0.0, 0.0, 0
    for activity in activities:
        change = _changes(policy, activity, cuts)
        squares.append(((change / half) ** 2).mean(2).T)
        shift = shift + change.sum(1)
        largest = np.maximum(largest, np.abs(change).max(1))
        count += len(activity)
    blocks = _blocks(activities, [np.ones(len(each), bool) for each in activities])
    sums, counts = _sums(np.concatenate(squares), blocks)
    mean = sums.sum(0) / counts.sum()
    drawn = _draws(len(counts))
    means = (drawn @ sums) / (drawn @ counts)[:, None]
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    size = np.sqrt(np.stack((mean, low, high), 1))
    return Influence(synapses, size, shift / count, largest, count)


def _changes(policy: Policy, activity: Activity, cuts: list[tuple[int, ...]]) -> np.ndarray:
    """Clipped command without each synapse less that of the intact circuit, (synapses, T, outputs).

    Both from the same stacked computation, so that rounding does not look like influence.
    """
    parts = []
    for start, stop in activity.stretches():
        features = torch.from_numpy(activity.features[start:stop])
        elapsed = torch.from_numpy(activity.elapsed[start:stop]) / policy.tick
        state = torch.from_numpy(activity.before[start])
        sizes = policy.circuit.state_sizes
        given = state if len(sizes) == 1 else state.split(sizes)
        name = f"cutting {len(cuts) - 1} synapses, {activity.name}"
        outputs = cut_outputs(policy.circuit, features, elapsed, cuts, given, name)
        commands = policy.spec.clip((outputs * policy.scale).numpy())
        parts.append(commands[1:] - commands[:1])
    return np.concatenate(parts, 1)


def _shares(values: np.ndarray, units: int) -> np.ndarray:
    found = np.zeros(units)
    total = values.sum()
    found[: len(values)] = values / total if total > 0 else 0.0
    return found


def _blocks(activities: Sequence[Activity], keep: Sequence[np.ndarray]) -> np.ndarray:
    """The number of the block of time that each kept frame of all drives belongs to."""
    found, first = [], 0
    for activity, rows in zip(activities, keep, strict=True):
        numbers = (activity.seconds // BLOCK_S).astype(int)
        found.append(first + numbers[rows])
        first += int(numbers.max(initial=0)) + 1
    return np.unique(np.concatenate(found), return_inverse=True)[1]


def _sums(values: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums (blocks, columns) of values (T, columns), and frames (blocks,)."""
    counts = np.bincount(blocks)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, blocks, values)
    return sums, counts.astype(float)


def _draws(blocks: int) -> np.ndarray:
    """How often each block is drawn in each bootstrap sample, (draws, blocks); seeded.

    NaN for a single block, which says nothing of how far another one would differ.
    """
    if blocks < 2:
        return np.full((DRAWS, blocks), np.nan)
    return np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / blocks), DRAWS) * 1.0


def _correlations(values: np.ndarray, command: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each column with the command and its interval, (columns, 3)."""
    columns = values.shape[1]
    values = values - values.mean(0)
    command = (command - command.mean())[:, None]
    table = np.concatenate((values, values**2, values * command), 1)
    table = np.concatenate((table, command, command**2), 1)
    sums, counts = _sums(table, blocks)
    weights = np.concatenate((np.ones((1, len(counts))), _draws(len(counts))))
    means = (weights @ sums) / (weights @ counts)[:, None]
    x, xx, xy = (means[:, part * columns : (part + 1) * columns] for part in range(3))
    y, yy = means[:, -2:-1], means[:, -1:]
    spread = np.sqrt(np.clip(xx - x**2, 0, None) * np.clip(yy - y**2, 0, None))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(spread > 1e-12, (xy - x * y) / spread, np.nan)
    ends = np.full((2, columns), np.nan)
    known = ~np.isnan(found[1:]).all(0)
    ends[:, known] = np.nanquantile(found[1:, known], (0.025, 0.975), axis=0)
    return np.stack((found[0], *ends), 1)
