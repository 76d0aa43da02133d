"""Expressivity as trajectory length: how far a circle at the input moves an untrained network.

Hasani et al., "Liquid Time-constant Networks", 2021, section 5: networks with random weights are
fed (sin t, cos t) for one turn; the longer the path of the last layer's state in the plane of its
first two principal components, the more a network is said to express. Each layer has `width`
neurons with the state x, sees u (the circle, or the state of the layer below), and is, with
f(u) = activation(u W + b) and g(x) = activation(x V + c),

    neural ODE   dx/dt = f(u)
    CT-RNN       dx/dt = -x / tau + f(u)
    LTC          dx/dt = -(1 / tau + |f(u)| + |g(x)|) x + f(u) A + g(x) B

as in the code that the authors published. Two things there set the LTC apart beside its equation:
it alone is recurrent, and A and B are sums of `width` random numbers, so that they grow with the
root of the width. `Setting` can take away either.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

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
    "sigmoid": lambda values: (1 + np.tanh(values / 2)) / 2,
}
SAMPLES, SUBSTEPS = 400, 4


@dataclass(frozen=True)
class Setting:
    """How random networks are drawn; the defaults are those of the authors' code, width apart.

    Weights are drawn from N(0, scale^2), biases from N(0, 1), tau from |N(0, 1)|.

    Attributes:
        width: neurons a layer.
        depth: layers.
        scale: deviation of the weights.
        activation: one of `ACTIVATIONS`.
        targets: "wide", A and B from N(0, width * scale^2), or "unit", from N(0, 1).
        recurrent: "ltc", it alone has g, or "all", the others have it, too: dx/dt = ... + g(x).
    """

    width: int = 100
    depth: int = 1
    scale: float = 2.0
    activation: str = "hard_tanh"
    targets: str = "wide"
    recurrent: str = "ltc"


def sweeps() -> dict[str, list[Setting]]:
    """Settings in which one property varies and the others are as `Setting` has them.

    The last sweep takes away, one by one and together, what sets the LTC apart.
    """
    varied = {
        "width": (10, 25, 50, 100, 200),
        "depth": (1, 2, 3, 4, 5, 6),
        "scale": (1.0, 2.0, 4.0, 8.0, 16.0),
        "activation": tuple(ACTIVATIONS),
    }
    found = {
        name: [replace(Setting(), **{name: value}) for value in values]
        for name, values in varied.items()
    }
    found["advantage"] = [
        Setting(targets=targets, recurrent=recurrent)
        for targets in ("wide", "unit")
        for recurrent in ("ltc", "all")
    ]
    return found


def states(kind: str, setting: Setting, trials: int, seed: int = 0) -> np.ndarray:
    """States of the last layer (trials, samples, width) over one turn of the circle, from 0.

    Solved by the exponential midpoint rule, exact for constant f and g, however small tau. All
    kinds get the same weights for the same seed.

    Raises:
        InputError: an unknown kind or activation.
    """
    if kind not in KINDS or setting.activation not in ACTIVATIONS:
        raise InputError(
            f"Expected a kind out of {tuple(KINDS)} and an activation out of {tuple(ACTIVATIONS)}, "
            f"got {kind!r} and {setting.activation!r}."
        )
    rng = np.random.default_rng(seed)
    activate, width, depth = ACTIVATIONS[setting.activation], setting.width, setting.depth
    weights = [
        rng.normal(0, setting.scale, (trials, 2 if layer == 0 else width, width))
        for layer in range(depth)
    ]
    own_weights = rng.normal(0, setting.scale, (depth, trials, width, width))
    bias, own_bias = rng.normal(0, 1, (2, depth, trials, width))
    tau = np.abs(rng.normal(0, 1, (depth, trials, width)))
    spread = setting.scale * np.sqrt(width) if setting.targets == "wide" else 1.0
    target, own_target = rng.normal(0, spread, (2, depth, trials, width))
    recurrent = kind == "ltc" or setting.recurrent == "all"

    def flow(state: np.ndarray, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Drive and rate (depth, trials, width) of dx/dt = drive - rate x."""
        drive, rate = np.zeros_like(state), np.zeros_like(state)
        below = np.broadcast_to([np.sin(time), np.cos(time)], (trials, 2))
        for layer in range(depth):
            seen = activate((below[:, None] @ weights[layer])[:, 0] + bias[layer])
            own = np.zeros_like(seen)
            if recurrent:
                own = activate((state[layer][:, None] @ own_weights[layer])[:, 0] + own_bias[layer])
            if kind == "ltc":
                drive[layer] = seen * target[layer] + own * own_target[layer]
                rate[layer] = 1 / tau[layer] + np.abs(seen) + np.abs(own)
            else:
                drive[layer] = seen + own
                rate[layer] = 1 / tau[layer] if kind == "ctrnn" else 0
            below = state[layer]
        return drive, rate

    step = 2 * np.pi / (SAMPLES * SUBSTEPS)
    state, found = np.zeros((depth, trials, width)), []
    for index in range(SAMPLES * SUBSTEPS):
        time = index * step
        middle = _advance(state, *flow(state, time), step / 2)
        state = _advance(state, *flow(middle, time + step / 2), step)
        if index % SUBSTEPS == SUBSTEPS - 1:
            found.append(state[-1])
    return np.stack(found, 1)


def _advance(state: np.ndarray, drive: np.ndarray, rate: np.ndarray, step: float) -> np.ndarray:
    """The state of dx/dt = drive - rate x a step later, drive and rate being constant."""
    decay = -np.expm1(-rate * step)  # 1 - exp(-rate step)
    share = np.divide(decay, rate, out=np.full_like(rate, step), where=rate > 0)
    return state - decay * state + share * drive


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

    "plane" is the length of the path in the plane of its first two principal components (the
    paper's measure), "full" that without a projection, "folding" that of the path in the plane by
    its diameter; see `folding`.
    """
    rows = []
    for name, settings in sweeps().items():
        for setting in settings:
            for kind in KINDS:
                paths = [(each, plane(each)) for each in states(kind, setting, trials)]
                measures = {
                    "plane": [path_length(flat) for _, flat in paths],
                    "full": [path_length(path) for path, _ in paths],
                    "folding": [folding(flat) for _, flat in paths],
                }
                row = {"sweep": name, "kind": kind, "trials": trials, **asdict(setting)}
                for measure, values in measures.items():
                    row[measure] = float(np.mean(values))
                    row[f"{measure}_deviation"] = float(np.std(values))
                rows.append(row)
    return rows
