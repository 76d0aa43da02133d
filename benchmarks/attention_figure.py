"""Draws what `attention_monitor.py measure` found: docs/attention_monitor.png.

python benchmarks/attention_figure.py driving_ncp
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import tyro
from attention_monitor import EVERY, RESULTS

from liquid_control import models
from liquid_control.attention.monitor import FILE

# Those whose drift is drawn over time, and whose ROC is drawn.
OVER_TIME = ("noise, variance 0.05", "out of focus, 5 px", "camera turned by 25 degrees")
OVER_TIME += ("a racing game", "dirt on the lens, 1")
CURVES = ("noise, variance 0.05", "out of focus, 2 px", "out of focus, 5 px", "upside down")
CURVES += ("camera turned by 10 degrees", "camera turned by 25 degrees", "3 stops brighter")
CURVES += ("fog before the lens", "something before the lens", "dirt on the lens, 1")


def draw(
    model: tyro.conf.Positional[str] = "driving_ncp",
    out: Path = Path("docs/attention_monitor.png"),
    rate: float = 30.0,
) -> None:
    """Drift over time, and the receiver operating characteristic of each disturbance.

    Args:
        model: that was measured.
        out: picture to write.
        rate: of the camera [1/s].
    """
    folder = models.find(model)
    found = json.loads((RESULTS / f"attention_monitor_{folder.name}.json").read_text())
    limits = json.loads((folder / FILE).read_text())["limits"]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 4.4), width_ratios=(1, 0.9), layout="constrained"
    )
    step = EVERY / rate
    for name in OVER_TIME:
        kind = found["disturbed"].get(name)
        if kind is not None:
            drift = np.array(kind["drift"])
            seconds = (np.arange(len(drift)) - kind["begins"]) * step
            left.plot(seconds, drift, label=name, linewidth=1.4)
    left.axvline(0, color="0.4", linewidth=1)
    left.text(0.1, 0.98, "disturbed from here on", transform=left.get_xaxis_transform(), va="top")
    left.axhline(limits["drift"], color="0.2", linestyle="--", linewidth=1)
    left.text(0.01, limits["drift"] * 1.03, "alarm", transform=left.get_yaxis_transform())
    left.set(xlabel="time [s]", ylabel="attention_drift", yscale="log", title="One drive")
    left.set_yticks([5, 10, 20, 50], ["5", "10", "20", "50"])
    left.set_yticks([], minor=True)
    left.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, 0.9))
    for name in CURVES:
        kind = found["disturbed"].get(name)
        if kind is not None:
            label = f"{name} ({kind['area_under_roc']:.2f})"
            right.plot(kind["false_alarms"], kind["detections"], label=label, linewidth=1.4)
    chance = np.geomspace(1e-4, 1, 50)
    right.plot(chance, chance, color="0.7", linewidth=1, linestyle=":")
    right.set(
        xlabel="share of normal moments above the limit",
        ylabel="share of disturbed moments above it",
        xscale="log",
        xlim=(1e-4, 1),
        title="Every limit of the drift (area under the curve)",
    )
    right.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1.0))
    figure.savefig(out, dpi=110)
    print(out)


if __name__ == "__main__":
    tyro.cli(draw)
