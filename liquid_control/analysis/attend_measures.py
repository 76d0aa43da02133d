"""The figures of one model and method over many frames, and the table that compares them."""

from __future__ import annotations

import numpy as np

from liquid_control.analysis.explainer import Explainer, Seen
from liquid_control.analysis.measures import ORDERS, SHARES, hiding, on_road, shuffled
from liquid_control.attention.compare import ssim
from liquid_control.attention.explained import Explained
from liquid_control.attention.maps import maps
from liquid_control.camera import gaussian
from liquid_control.evaluation.statistics import bootstrap_interval

__all__ = ["VARIANCES", "Measures", "markdown", "table"]

# Of the noise in the paper's active test, on the scale [0, 1].
VARIANCES = (0.1, 0.2, 0.3)


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
        both = (curves.deletion, curves.insertion)
        self._curves.append(np.array([[curve[order] for order in ORDERS] for curve in both]))

    def _map(self, frame: np.ndarray, seen: Seen, policy=None) -> np.ndarray:
        explainer, decision = self.explainer, seen.decision
        return maps(
            *(policy or explainer.model.policy, frame[None], explainer.method, explainer.target),
            *(decision.state_before[None], decision.elapsed),
        )[0]

    def summary(self) -> dict:
        """JSON-ready: means and 95 % bootstrap intervals over the frames, and the mean curves.

        The intervals take frames as independent: so they are where frames lie seconds apart.
        """
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        figures = {}
        for name in names:
            values = np.array([row.get(name, np.nan) for row in self._rows])
            values = values[np.isfinite(values)]
            if len(values):
                mean, interval = float(values.mean()), bootstrap_interval(values)
                figures[name] = {"mean": mean, "interval": interval, "frames": len(values)}
        curves = np.mean(self._curves, 0) if self._curves else np.zeros((2, len(ORDERS), 0))
        return {
            "model": self.explainer.model.name,
            "method": self.explainer.method,
            "target": self._explained.target,
            "weighted_by_target": self.explainer.target is not None
            or self.explainer.method != "visual-backprop",
            "frames": len(self._rows),
            "figures": figures,
            "curves": {
                "shares": SHARES.tolist(),
                **{
                    name: dict(zip(ORDERS, curves[kind].tolist(), strict=True))
                    for kind, name in enumerate(("deletion", "insertion"))
                },
            },
        }


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
    that difference, in which 0 must not lie.
    """
    rows = [["", *(_title(each) for each in summaries)]]
    rows.append(["frames", *(str(each["frames"]) for each in summaries)])
    for title, name in ROWS.items():
        cells = [_cell(each["figures"].get(name)) for each in summaries]
        if any(cells):
            rows.append([title, *cells])
    for name, sign in (("deletion", 1), ("insertion", -1)):
        cells = [_areas(each["figures"], name, sign) for each in summaries]
        for place, title in enumerate(("map / random", "inverse / random", "against random")):
            rows.append([f"{name}, {title}", *(cell[place] for cell in cells)])
    return rows


def markdown(summaries: list[dict]) -> str:
    """The table as Markdown."""
    header, *rows = ("|".join(("", *(f" {cell} " for cell in row), "")) for row in table(summaries))
    return "\n".join((header, "|---" * (len(summaries) + 1) + "|", *rows)) + "\n"


def _title(summary: dict) -> str:
    explained = f" of {summary['target']}" if summary["weighted_by_target"] else ""
    return f"{summary['model']}, {summary['method']}{explained}"


def _areas(figures: dict, name: str, sign: int) -> tuple[str, str, str]:
    area = {order: figures[f"{name}_{order}"]["mean"] for order in ORDERS}
    chance = area["random"] or np.nan
    low, high = sorted(sign * end for end in figures[f"{name}_gain"]["interval"])
    verdict = "better" if low > 0 else ("worse" if high < 0 else "no difference shown")
    return f"{area['attention'] / chance:.2f}", f"{area['inverse'] / chance:.2f}", verdict


def _cell(figure: dict | None) -> str:
    if figure is None:
        return ""
    low, high = figure["interval"]
    return f"{figure['mean']:.2f} ({low:.2f} to {high:.2f})"
