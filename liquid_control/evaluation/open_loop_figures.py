"""Open-loop figures with intervals that know that neighbouring frames say nearly the same.

The recordings are cut into blocks of some seconds, and whole blocks are drawn again (the block
bootstrap of Carlstein, Annals of Statistics 1986). All models are drawn with the same blocks, so
that their differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from liquid_control.evaluation.statistics import FEWEST

__all__ = [
    "BINS",
    "Blocks",
    "bin_edges",
    "binned",
    "block_numbers",
    "disagreements",
    "figures",
    "paired",
]

DRAWS = 2000
BINS = 9
FIGURES = ("mse", "mae", "bias", "correlation")
DISAGREE_S, DISAGREE_SHARE = 0.5, 0.2


@dataclass(frozen=True, eq=False)
class Blocks:
    """Which block each frame lies in, and how often each draw takes each block.

    Attributes:
        number: int (frames,), from 0.
        weights: (draws, blocks) how often a block is drawn; no draw with fewer than 2 blocks.
    """

    number: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, number: np.ndarray, draws: int = DRAWS) -> Blocks:
        """Seeded draws of blocks with replacement, as many as there are."""
        count = int(number.max()) + 1
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(count, np.full(count, 1 / count), draws if count > 1 else 0)
        return cls(number, drawn.astype(np.float64))

    @property
    def count(self) -> int:
        return self.weights.shape[1]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums (blocks, columns) of values (frames, columns)."""
        found = np.zeros((self.count, values.shape[1]))
        np.add.at(found, self.number, values)
        return found

    def interval(self, drawn: np.ndarray) -> list[float] | None:
        """The 95 % percentile interval [low, high] of draws; None where most are undefined."""
        finite = drawn[np.isfinite(drawn)]
        if len(finite) <= len(drawn) / 2:
            return None
        low, high = np.quantile(finite, [0.025, 0.975])
        return [float(low), float(high)]


def block_numbers(stamps: np.ndarray, runs: np.ndarray, seconds: float) -> np.ndarray:
    """Block of each frame, int (frames,): stretches of `seconds` [s] that never cross a gap.

    Args:
        stamps: int64 (frames,) [ns].
        runs: int (frames,), number of the stretch without a gap that a frame lies in.
        seconds: length of a block; the last of a run is shorter.
    """
    first = np.zeros(int(runs.max()) + 1, np.int64)
    starts = np.flatnonzero(np.diff(runs, prepend=-1))
    first[runs[starts]] = stamps[starts]
    within = (stamps - first[runs]) // int(seconds * 1e9)
    _, number = np.unique(np.stack([runs, within]), axis=1, return_inverse=True)
    return number.reshape(-1)


def figures(recorded: np.ndarray, asked: np.ndarray, blocks: Blocks) -> dict[str, dict]:
    """Name to "mean" and 95 % "interval" of a model's error against the recording.

    `mse`, `mae` and `bias` (asked less recorded) in the output's unit, `correlation` (Pearson;
    None where one of the two never changes).
    """
    sums = blocks.sums(_moments(recorded, asked))
    whole, drawn = _figures(sums.sum(0)), _figures(blocks.weights @ sums)
    return {
        name: {"mean": _number(whole[name]), "interval": blocks.interval(drawn[name])}
        for name in FIGURES
    }


def paired(
    recorded: np.ndarray, before: np.ndarray, after: np.ndarray, blocks: Blocks
) -> dict[str, dict]:
    """Name to "before", "after", "difference" (after less before) and its 95 % "interval".

    "certain" says that it excludes zero, by as many blocks as can say so.
    """
    sums = [blocks.sums(_moments(recorded, asked)) for asked in (before, after)]
    whole = [_figures(each.sum(0)) for each in sums]
    drawn = [_figures(blocks.weights @ each) for each in sums]
    found = {}
    for name in ("mse", "mae", "correlation"):
        interval = blocks.interval(drawn[1][name] - drawn[0][name])
        one, other = (_number(each[name]) for each in whole)
        if one is not None and other is not None:
            found[name] = {
                "before": one,
                "after": other,
                "difference": other - one,
                "interval": interval,
                "certain": interval is not None
                and blocks.count >= FEWEST
                and (interval[0] > 0 or interval[1] < 0),
            }
    return found


def bin_edges(recorded: np.ndarray, count: int = BINS) -> np.ndarray:
    """Edges (count + 1,) of equally wide bins, symmetric about 0, the outer ones open (inf).

    They span the 99th percentile of the recorded values' size, so that a bin holds frames.
    """
    reach = float(np.quantile(np.abs(recorded), 0.99)) or 1.0
    edges = np.linspace(-reach, reach, count + 1)
    edges[[0, -1]] = -np.inf, np.inf
    return edges


def binned(
    recorded: np.ndarray, asked: np.ndarray, blocks: Blocks, edges: np.ndarray
) -> list[dict]:
    """Error by recorded value: for each bin its "low" and "high", "frames", mae, mse and bias.

    The open ends of the outer bins are None; so are the figures of an empty bin.
    """
    place = np.searchsorted(edges, recorded, side="right") - 1
    found = []
    for index, (low, high) in enumerate(pairwise(edges)):
        inside = place == index
        row = {"low": _number(low), "high": _number(high), "frames": int(inside.sum())}
        sums = blocks.sums(_moments(recorded, asked) * inside[:, None])
        whole, drawn = _figures(sums.sum(0)), _figures(blocks.weights @ sums)
        for name in ("mae", "mse", "bias"):
            interval = blocks.interval(drawn[name])
            row[name] = {"mean": _number(whole[name]), "interval": interval}
        found.append(row)
    return found


def disagreements(
    recorded: np.ndarray, asked: np.ndarray, period: float, runs: np.ndarray, half: float
) -> int:
    """How often command and recording part for long.

    A stretch counts once in which the error's running mean over 0.5 s exceeds a fifth of `half`.

    Args:
        recorded, asked: (frames,).
        period: time between frames [s].
        runs: int (frames,), as for `block_numbers`.
        half: of the output's range, in its unit.
    """
    width = max(1, round(DISAGREE_S / period)) if period > 0 else 1
    count = 0
    for run in np.unique(runs):
        error = (asked - recorded)[runs == run]
        if len(error) < width:
            continue
        apart = np.abs(np.convolve(error, np.full(width, 1 / width), "valid"))
        beyond = apart > DISAGREE_SHARE * half
        count += int(beyond[0] + np.sum(beyond[1:] & ~beyond[:-1]))
    return count


def _moments(recorded: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """What all figures follow from by sums, float64 (frames, 9)."""
    r, a = recorded.astype(np.float64), asked.astype(np.float64)
    error = a - r
    return np.stack(
        [np.ones_like(r), error, error**2, np.abs(error), r, a, r * r, a * a, r * a], axis=-1
    )


def _figures(sums: np.ndarray) -> Mapping[str, np.ndarray]:
    """Figures (...) of sums (..., 9) of moments; NaN where they are not defined."""
    count = sums[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums / count[..., None]
        _, error, square, size, r, a, rr, aa, ra = np.moveaxis(means, -1, 0)
        spread = (rr - r * r) * (aa - a * a)
        # Rounding leaves a little of a constant's variance.
        varies = (rr - r * r > 1e-10 * rr) & (aa - a * a > 1e-10 * aa)
        correlation = np.where(varies, (ra - r * a) / np.sqrt(np.abs(spread)), np.nan)
    return {"mse": square, "mae": size, "bias": error, "correlation": correlation}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
