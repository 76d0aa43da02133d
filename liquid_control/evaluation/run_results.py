"""The numbers of one run, as they stand in `results.json`. Units are in the names."""

from __future__ import annotations

import numpy as np

from liquid_control.command import (
    CURVATURE,
    SPEED,
    STEERING,
    THROTTLE,
    VX,
    VY,
    VZ,
    YAW_RATE,
)
from liquid_control.evaluation.run_data import RunData, Series
from liquid_control.evaluation.run_missing import missing

__all__ = ["OUTPUTS", "UNITS", "falls", "measure", "set_back", "verdict"]

OUTPUTS = (CURVATURE, SPEED, STEERING, THROTTLE, VX, VY, VZ, YAW_RATE)
UNITS = {output.name: output.unit for output in OUTPUTS}
# A step that no vehicle here can drive: it was set back to the start.
JUMP_M, JUMP_M_S = 2.0, 40.0


def measure(run: RunData) -> dict:
    """All results of a run; None stands for what its topics cannot tell."""
    state = run.state
    return {
        "kind": run.kind,
        "duration_s": _duration(run),
        "distance_m": _distance(run),
        "mean_speed_m_s": _mean(_speed(run)),
        "crashes": _count(falls(state, run.crash)),
        "lane_departures": _count(falls(state, "lane_departure")),
        "flights": len(run.episodes()) if run.flies else None,
        "targets_reached": _count(falls(state, "success")) if run.flies else None,
        "lateral_error_m": _errors(state, "lateral_error"),
        "heading_error_rad": _errors(state, "heading_error"),
        "frames": _frames(run),
        "frame_to_command_ms": _milliseconds(run.latency, "age"),
        "inference_ms": _milliseconds(run.latency, "inference"),
        "commands": _commands(run),
        "safety": _safety(run),
        "imitation": _imitation(run),
        "time_constants_s": _medians(run.time_constants),
        "missing": missing(run),
    }


def falls(state: Series | None, name: str) -> np.ndarray | None:
    """Stamps at which a flag of the simulator went up, int64 (K,); None where it is unknown."""
    if state is None or name not in state:
        return None
    up = np.nan_to_num(state[name]) > 0.5
    rises = up & ~np.concatenate([[False], up[:-1]])
    return state.stamps[rises]


def set_back(stamps: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Which steps (N - 1,) [m] between stamps (N,) [ns] are too long to have been driven."""
    return np.abs(steps) > np.maximum(JUMP_M, JUMP_M_S * np.diff(stamps) / 1e9)


def verdict(results: dict, failures: tuple[str, ...] = ()) -> tuple[bool, str]:
    """Whether the run went well, and one plain sentence that says so."""
    if failures:
        return False, " ".join(failures)
    crashes, flights = results["crashes"], results["flights"]
    if crashes:
        times = "once" if crashes == 1 else f"{crashes} times"
        return False, f"The drone crashed {times}." if flights else f"The car crashed {times}."
    if results["kind"] == "replay" and results["imitation"]:
        name, figures = next(iter(results["imitation"].items()))
        better = figures["mse"] < figures["mse_always_zero"]
        does = "follows" if better else "does not follow"
        return better, (
            f"The policy's {name} {does} the recording: mean squared error {figures['mse']:.3g}, "
            f"where always 0 has {figures['mse_always_zero']:.3g}."
        )
    if not results["frames"]["camera"]:
        return False, "The bag holds no camera frame: the run ended before it began."
    if results["kind"] == "drive" and not results["frames"]["decisions"]:
        return False, "The policy never decided: the bag holds no command of it."
    if flights:
        reached = results["targets_reached"]
        return True, (
            f"The drone hit nothing. Goals reached: {reached}, in {flights} flights, the last of "
            "which was cut off."
        )
    if crashes == 0:
        return True, "The car stayed on the road for the whole run."
    return True, "The run came to its end; nothing in the bag tells where the road was."


def _mean(values: np.ndarray | None) -> float | None:
    if values is None or not np.isfinite(values).any():
        return None
    return float(np.nanmean(values))


def _count(stamps: np.ndarray | None) -> int | None:
    return None if stamps is None else len(stamps)


def _steps(run: RunData) -> np.ndarray:
    """Times between camera frames [ns], without jumps back and pauses before a new road."""
    steps = np.diff(run.frames)
    kept = steps > 0
    for episode in run.episodes()[1:]:
        start = episode.stamps[0]
        kept &= ~((run.frames[:-1] < start) & (run.frames[1:] >= start))
    return steps[kept]


def _duration(run: RunData) -> float:
    """Time covered by camera frames."""
    return float(_steps(run).sum() / 1e9)


def _speed(run: RunData) -> np.ndarray | None:
    for series in (run.state, run.odometry):
        if series is not None and "speed" in series:
            return series["speed"]
    return None


def _distance(run: RunData) -> float | None:
    """Distance along the road, or else along the odometry's line; restarts are left out."""
    if run.state is not None and "distance" in run.state:
        return float(sum(np.nansum(np.diff(part["distance"])) for part in run.episodes()))
    if run.odometry is None:
        return None
    steps = np.hypot(np.diff(run.odometry["x"]), np.diff(run.odometry["y"]))
    return float(np.nansum(steps[~set_back(run.odometry.stamps, steps)]))


def _errors(state: Series | None, name: str) -> dict | None:
    if state is None or name not in state:
        return None
    values = np.abs(state[name])
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    return {
        "mean_abs": float(values.mean()),
        "p95_abs": float(np.percentile(values, 95)),
        "max_abs": float(values.max()),
    }


def _frames(run: RunData) -> dict:
    """Frames counted from stamps: nothing is guessed from rates.

    "missing" are stamps that the camera's median period says should be there. "unanswered" are
    frames between the first and the last decision that no decision carries the stamp of: the
    policy skipped them or the recorder missed the answer. "before_policy" and "after_policy" were
    cut off by `trim` and count nowhere else.
    """
    frames = run.frames
    steps = _steps(run)
    period = float(np.median(steps)) if len(steps) else None
    missing = int(np.maximum(np.rint(steps / period) - 1, 0).sum()) if period else 0
    decided = run.commands.stamps if run.commands is not None else np.zeros(0, np.int64)
    answered = np.isin(frames, decided)
    inside = np.zeros(len(frames), bool)
    if len(decided) and answered.any():
        first, last = np.flatnonzero(answered)[[0, -1]]
        inside[first : last + 1] = True
    return {
        "camera": len(frames),
        "period_ms": None if period is None else period / 1e6,
        "missing": missing,
        "decisions": len(decided),
        "unanswered": int((inside & ~answered).sum()),
        "before_policy": run.before,
        "after_policy": run.after,
        "decisions_without_frame": int((~np.isin(decided, frames)).sum()),
        "resets": len(run.resets),
    }


def _milliseconds(latency: Series | None, name: str) -> dict | None:
    if latency is None or name not in latency:
        return None
    values = latency[name][np.isfinite(latency[name])] * 1e3
    if not len(values):
        return None
    p50, p99 = np.percentile(values, (50, 99))
    return {
        "p50": float(p50),
        "p99": float(p99),
        "max": float(values.max()),
        "count": len(values),
    }


def _commands(run: RunData) -> dict:
    if run.commands is None:
        return {}
    return {
        name: {
            "unit": UNITS.get(name, ""),
            "mean": float(np.mean(values)),
            "std": float(np.std(values)),
            "min": float(np.min(values)),
            "max": float(np.max(values)),
            "mean_abs_step": float(np.abs(np.diff(values)).mean()) if len(values) > 1 else 0.0,
        }
        for name in run.commands.names
        if len(values := run.commands[name][np.isfinite(run.commands[name])])
    }


def _safety(run: RunData) -> dict | None:
    """How often the safety node changed a command of the same stamp."""
    if run.asked is None or run.safe is None:
        return None
    safe = run.safe.at(run.asked.stamps)
    passed = ~np.isnan(safe.values).any(axis=1)
    change = np.abs(safe.values - run.asked.values)[passed]
    return {
        "commands": len(run.asked),
        "passed_on": int(passed.sum()),
        "changed": int((change > 1e-6).any(axis=1).sum()),
    }


def _imitation(run: RunData) -> dict:
    """Asked beside the expert's command, per output: MSE, correlation, MSE of always 0."""
    if run.commands is None or run.expert is None:
        return {}
    expert = run.expert.at(run.commands.stamps)
    figures = {}
    for name in run.commands.names:
        if name not in expert:
            continue
        asked, shown = run.commands[name], expert[name]
        both = np.isfinite(asked) & np.isfinite(shown)
        if not both.any():
            continue
        asked, shown = asked[both], shown[both]
        varies = len(asked) > 1 and asked.std() > 0 and shown.std() > 0
        figures[name] = {
            "frames": len(asked),
            "mse": float(np.mean((asked - shown) ** 2)),
            "mse_always_zero": float(np.mean(shown**2)),
            "correlation": float(np.corrcoef(asked, shown)[0, 1]) if varies else None,
        }
    return figures


def _medians(series: Series | None) -> dict[str, float]:
    if series is None:
        return {}
    return {
        name: float(np.nanmedian(series[name]))
        for name in series.names
        if np.isfinite(series[name]).any()
    }
