"""The figures of one model and method over many frames, and the table that compares them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from liquid_control.analysis.explainer import Explainer, Seen
from liquid_control.analysis.measures import ORDERS, SHARES, hiding, on_road, shuffled
from liquid_control.attention.compare import ssim
from liquid_control.attention.explained import Explained
from liquid_control.attention.maps import maps
from liquid_control.camera import gaussian
from liquid_control.evaluation.statistics import FEWEST, bootstrap_ratio_interval

__all__ = ["VARIANCES", "Measures", "markdown", "table"]

# Of the noise in the paper's active test, on the scale [0, 1].
VARIANCES = (0.1, 0.2, 0.3)
# Neighbouring frames are alike: intervals draw whole stretches of this time [s].
BLOCK_S = 10.0


class Measures:
    """Collects figures frame by frame.

    Noisy maps are made from the state of the drive without noise: they tell what noise does to the
    map, not what it did to the state before. Noise is added to the frame as the model sees it.

    Args:
        explainer: whose maps.
        seed: of noise and random orders; the same for all that are compared.
    """

    def __init__(self, explainer: Explainer, seed: int = 0) -> None:
        self.explainer, self._seed = explainer, seed
        policy = explainer.model.policy
        self._explained = Explained(policy, explainer.target)
        self._shuffled = shuffled(policy, seed)
        self._rows: list[dict[str, float]] = []
        self._curves: list[np.ndarray] = []
        self._stamps: list[int] = []

    def add(self, seen: Seen) -> None:
        """Take in a frame that was explained."""
        # One stream a frame, so that what is compared meets the same noise.
        rng = np.random.default_rng([self._seed, len(self._rows)])
        row = {
            f"ssim_{variance}": ssim(
                seen.saliency, self._map(gaussian(seen.frame, variance, rng), seen)
            )
            for variance in VARIANCES
        }
        row["ssim_shuffled"] = ssim(seen.saliency, self._map(seen.frame, seen, self._shuffled))
        if seen.shot.road is not None:
            image = np.repeat(seen.shot.road[..., None].astype(np.uint8) * 255, 3, 2)
            road = self.explainer.model.policy.camera.apply(image)[..., 0] > 127
            row["attention_on_road"], row["pixels_on_road"] = on_road(seen.saliency, road)
        decision = seen.decision
        curves = hiding(
            *(self._explained, seen.frame, seen.saliency),
            *(decision.state_before, decision.elapsed, rng),
        )
        for name, areas in curves.areas().items():
            row |= {f"{name}_{order}": area for order, area in areas.items()}
            row[f"{name}_gain"] = areas["attention"] - areas["random"]
        self._rows.append(row)
        self._stamps.append(seen.shot.stamp)
        both = (curves.deletion, curves.insertion)
        self._curves.append(np.array([[curve[order] for order in ORDERS] for curve in both]))

    def _map(self, frame: np.ndarray, seen: Seen, policy=None) -> np.ndarray:
        explainer, decision = self.explainer, seen.decision
        return maps(
            *(policy or explainer.model.policy, frame[None], explainer.method, explainer.target),
            *(decision.state_before[None], decision.elapsed),
        )[0]

    def summary(self) -> dict:
        """JSON-ready: means and the mean curves.

        Intervals are 95 % bootstraps over stretches of 10 s, None where all lies within one.
        """
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        every = stretches(self._stamps)
        figures = {}
        for name in names:
            values = np.array([row.get(name, np.nan) for row in self._rows])
            finite = np.isfinite(values)
            if finite.any():
                figures[name] = {
                    "mean": float(values[finite].mean()),
                    "interval": _interval(values[finite], every[finite]),
                    "frames": int(finite.sum()),
                }
        curves = np.mean(self._curves, 0) if self._curves else np.zeros((2, len(ORDERS), 0))
        return {
            "model": self.explainer.model.name,
            "method": self.explainer.method,
            "target": self._explained.target,
            "weighted_by_target": self.explainer.target is not None
            or self.explainer.method != "visual-backprop",
            "frames": len(self._rows),
            "stretches": len(np.unique(every)),
            "figures": figures,
            "curves": {
                "shares": SHARES.tolist(),
                **{
                    name: dict(zip(ORDERS, curves[kind].tolist(), strict=True))
                    for kind, name in enumerate(("deletion", "insertion"))
                },
            },
        }


def stretches(stamps: Sequence[int]) -> np.ndarray:
    """The number of the stretch of `BLOCK_S` that each frame lies in, int (frames,).

    Args:
        stamps: [ns], in order; where time goes back, another drive begins.
    """
    numbers: list[int] = []
    began = last = 0
    for stamp in stamps:
        fresh = not numbers or stamp <= last or stamp - began >= BLOCK_S * 1e9
        began = stamp if fresh else began
        numbers.append((numbers[-1] if numbers else -1) + fresh)
        last = stamp
    return np.array(numbers, int)


ROWS = {
    **{f"SSIM, noise of variance {variance}": f"ssim_{variance}" for variance in VARIANCES},
    "SSIM, weights shuffled": "ssim_shuffled",
    "attention on road": "attention_on_road",
    "pixels on road": "pixels_on_road",
}


def table(summaries: list[dict]) -> list[list[str]]:
    """Rows of text, the first one the header: a figure a row, a model and method a column.

    Areas are shown as multiples of the random order's, so that models with stronger and weaker
    commands can be compared. Whether the difference to it is beyond chance says the interval of
    that difference, in which 0 must not lie, by 6 stretches or more.
    """
    rows = [["", *(_title(each) for each in summaries)]]
    rows.append(["frames", *(str(each["frames"]) for each in summaries)])
    for title, name in ROWS.items():
        cells = [_cell(each["figures"].get(name)) for each in summaries]
        if any(cells):
            rows.append([title, *cells])
    for name, sign in (("deletion", 1), ("insertion", -1)):
        cells = [_areas(each, name, sign) for each in summaries]
        for place, title in enumerate(("map / random", "inverse / random", "against random")):
            rows.append([f"{name}, {title}", *(cell[place] for cell in cells)])
    return rows


def markdown(summaries: list[dict]) -> str:
    """The table as Markdown."""
    header, *rows = ("|".join(("", *(f" {cell} " for cell in row), "")) for row in table(summaries))
    return "\n".join((header, "|---" * (len(summaries) + 1) + "|", *rows)) + "\n"


def _interval(values: np.ndarray, blocks: np.ndarray) -> list[float] | None:
    """Of the mean of values (frames,) whose blocks are drawn with replacement."""
    place = np.unique(blocks, return_inverse=True)[1]
    if not place.any():
        return None
    return list(bootstrap_ratio_interval(np.bincount(place, values), np.bincount(place)))


def _title(summary: dict) -> str:
    explained = f" of {summary['target']}" if summary["weighted_by_target"] else ""
    return f"{summary['model']}, {summary['method']}{explained}"


def _areas(summary: dict, name: str, sign: int) -> tuple[str, str, str]:
    figures, known = summary["figures"], summary["stretches"] >= FEWEST
    area = {order: figures[f"{name}_{order}"]["mean"] for order in ORDERS}
    chance = area["random"] or np.nan
    interval = figures[f"{name}_gain"]["interval"]
    low, high = sorted(sign * end for end in interval) if interval and known else (0.0, 0.0)
    verdict = "better" if low > 0 else ("worse" if high < 0 else "no difference shown")
    return f"{area['attention'] / chance:.2f}", f"{area['inverse'] / chance:.2f}", verdict


def _cell(figure: dict | None) -> str:
    if figure is None:
        return ""
    if figure["interval"] is None:
        return f"{figure['mean']:.2f}"
    low, high = figure["interval"]
    return f"{figure['mean']:.2f} ({low:.2f} to {high:.2f})"
