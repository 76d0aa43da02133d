"""Expressivity as trajectory length: how far a circle at the input moves an untrained network.

Hasani et al., "Liquid Time-constant Networks", 2021, section 5: a network with random weights
is fed (sin t, cos t); the longer the path of its state in the plane of the first two principal
components, the more the network can express. With f a multilayer perceptron on state and input:

    neural ODE   dx/dt = f(x, u)
    CT-RNN       dx/dt = -x / tau + f(x, u)
    LTC          dx/dt = -(1 / tau + f(x, u)) x + f(x, u) A
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import numpy as np

from liquid_control.errors import InputError

__all__ = [
    "ACTIVATIONS",
    "KINDS",
    "Setting",
    "folding",
    "lengths",
    "path_length",
    "plane",
    "states",
    "sweeps",
]

KINDS = {"node": "neural ODE", "ctrnn": "CT-RNN", "ltc": "LTC"}
ACTIVATIONS = {
    "relu": lambda values: np.maximum(values, 0),
    "tanh": np.tanh,
    "hard_tanh": lambda values: np.clip(values, -1, 1),
    "sigmoid": lambda values: 1 / (1 + np.exp(-values)),
}
SAMPLES, SUBSTEPS = 400, 4


@dataclass(frozen=True)
class Setting:
    """One random network: state size, layers of f, scale of its weights, its activation.

    Weights are drawn from N(0, scale^2 / fan-in), biases and A from N(0, 1); tau is 1.
    """

    width: int = 100
    depth: int = 1
    scale: float = 2.0
    activation: str = "tanh"


def sweeps() -> dict[str, list[Setting]]:
    """Settings in which one property varies and the others are as `Setting` has them."""
    varied = {
        "width": (10, 25, 50, 100, 200),
        "depth": (1, 2, 3, 4, 5, 6),
        "scale": (0.5, 1.0, 2.0, 4.0, 8.0),
        "activation": tuple(ACTIVATIONS),
    }
    return {
        name: [replace(Setting(), **{name: value}) for value in values]
        for name, values in varied.items()
    }


def states(
    kind: str, setting: Setting, trials: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Two trajectories (trials, samples, width) over one turn of the circle, by Runge-Kutta 4.

    The first is that of the state, from x = 0, the second that of the last layer of f. All kinds
    get the same weights for the same seed.

    Raises:
        InputError: an unknown kind or activation.
    """
    if kind not in KINDS or setting.activation not in ACTIVATIONS:
        raise InputError(
            f"Expected a kind out of {tuple(KINDS)} and an activation out of {tuple(ACTIVATIONS)}, "
            f"got {kind!r} and {setting.activation!r}."
        )
    rng = np.random.default_rng(seed)
    activate, width = ACTIVATIONS[setting.activation], setting.width
    sizes = [width + 2, *[width] * setting.depth]
    weights = [
        rng.normal(0, setting.scale / np.sqrt(fan_in), (trials, fan_in, fan_out))
        for fan_in, fan_out in pairwise(sizes)
    ]
    biases = [rng.normal(0, 1, (trials, 1, width)) for _ in range(setting.depth)]
    targets = rng.normal(0, 1, (trials, width))

    def field(state: np.ndarray, time: float) -> np.ndarray:
        circle = np.broadcast_to([np.sin(time), np.cos(time)], (trials, 2))
        hidden = np.concatenate((state, circle), 1)[:, None]
        for weight, bias in zip(weights, biases, strict=True):
            hidden = activate(hidden @ weight + bias)
        return hidden[:, 0]

    def slope(state: np.ndarray, time: float) -> np.ndarray:
        drive = field(state, time)
        if kind == "node":
            return drive
        return drive - state if kind == "ctrnn" else drive * targets - (1 + drive) * state

    step = 2 * np.pi / (SAMPLES * SUBSTEPS)
    state, found, hidden = np.zeros((trials, width)), [], []
    for index in range(SAMPLES * SUBSTEPS):
        time = index * step
        first = slope(state, time)
        second = slope(state + step / 2 * first, time + step / 2)
        third = slope(state + step / 2 * second, time + step / 2)
        fourth = slope(state + step * third, time + step)
        state = state + step / 6 * (first + 2 * second + 2 * third + fourth)
        if index % SUBSTEPS == SUBSTEPS - 1:
            found.append(state)
            hidden.append(field(state, time + step))
    return np.stack(found, 1), np.stack(hidden, 1)


def plane(trajectory: np.ndarray) -> np.ndarray:
    """The trajectory (samples, width) in the plane of its first two principal components."""
    centred = trajectory - trajectory.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return centred @ axes[:2].T


def path_length(trajectory: np.ndarray) -> float:
    """Sum of the distances between neighbouring samples of (samples, dimensions)."""
    return float(np.linalg.norm(np.diff(trajectory, axis=0), axis=1).sum())


def folding(trajectory: np.ndarray) -> float:
    """Length over diameter: 1 for a straight drift, pi for a circle, more for what winds.

    The diameter is twice the largest distance from the middle between the extremes.
    """
    middle = (trajectory.max(0) + trajectory.min(0)) / 2
    diameter = 2 * np.linalg.norm(trajectory - middle, axis=1).max()
    return path_length(trajectory) / float(diameter)


def lengths(trials: int) -> list[dict]:
    """Rows of results: sweep, kind, setting, and mean and deviation of each measure over trials.

    "state" is the length of the state's path in the plane of its first two principal components
    (the paper's measure), "hidden" that of the last layer of f in its own plane, "full" that of the
    state without a projection, "folding" that of the state's path in the plane; see `folding`.
    """
    rows = []
    for name, settings in sweeps().items():
        for setting in settings:
            for kind in KINDS:
                found = [
                    {
                        "state": path_length(plane(state)),
                        "hidden": path_length(plane(hidden)),
                        "full": path_length(state),
                        "folding": folding(plane(state)),
                    }
                    for state, hidden in zip(*states(kind, setting, trials), strict=True)
                ]
                row = {"sweep": name, "kind": kind, "trials": trials, **asdict(setting)}
                for measure in found[0]:
                    values = [each[measure] for each in found]
                    row[measure] = float(np.mean(values))
                    row[f"{measure}_deviation"] = float(np.std(values))
                rows.append(row)
    return rows
