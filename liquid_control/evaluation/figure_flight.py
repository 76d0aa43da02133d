"""The figures of a flight: its way to the target, and each velocity asked and flown."""

from __future__ import annotations

import numpy as np

from liquid_control.evaluation.figure_style import ASKED, BAD, DRIVEN, MUTED, TARGET, limits
from liquid_control.evaluation.figures import Chart, broken, over_time, time_axes
from liquid_control.evaluation.run_data import RunData
from liquid_control.evaluation.run_results import UNITS, falls

__all__ = ["flight_charts"]

_TITLES = {
    "vx": ("Speed forwards", ""),
    "vy": ("Speed sideways", "Positive is to the left."),
    "vz": ("Speed upwards", ""),
    "yaw_rate": ("Turn", "Positive turns left."),
}


def flight_charts(run: RunData) -> tuple[Chart, ...]:
    """Distance of the target, and asked beside flown for every output; empty for a drive."""
    if not run.flies:
        return ()
    outputs = [name for name in _TITLES if name in run.state]
    return (_distance(run), *(_output(run, name) for name in outputs))


def _distance(run: RunData) -> Chart:
    figure, axes = time_axes(run, 190, "target [m]")
    axes.plot(*broken(run, run.state, run.state["target_distance"]), color=DRIVEN, linewidth=1.5)
    axes.set_ylim(0, limits(run.state["target_distance"], 2.0)[1])
    legend = [("var(--driven)", "distance of the target's middle")]
    for flag, color, label in (("success", TARGET, "success"), (run.crash, BAD, "crash")):
        stamps = falls(run.state, flag)
        for stamp in () if stamps is None else stamps:
            axes.axvline(run.seconds(stamp), color=color, linewidth=1.4)
        if stamps is not None and len(stamps):
            legend.append((f"var(--{'bad' if color == BAD else 'target'})", label))
    return over_time(run, figure, "Way to the target", "", legend)


def _output(run: RunData, name: str) -> Chart:
    title, note = _TITLES[name]
    figure, axes = time_axes(run, 130, f"{name} [{UNITS[name]}]")
    axes.axhline(0, color=MUTED, linewidth=0.8)
    legend, values = [("var(--driven)", "flown")], [run.state[name]]
    axes.plot(*broken(run, run.state, run.state[name]), color=DRIVEN, linewidth=1.5)
    if run.commands is not None and name in run.commands:
        axes.plot(*broken(run, run.commands, run.commands[name]), color=ASKED, linewidth=1.0)
        legend.append(("var(--asked)", "asked by the policy"))
        values.append(run.commands[name])
    axes.set_ylim(*limits(np.concatenate(values), 0.1))
    return over_time(run, figure, title, note, legend)
