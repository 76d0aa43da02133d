"""What the policy node tells diagnostics: rates, latencies, frames that were left out, and why."""

from __future__ import annotations

from liquid_control.ros.diagnostics import Window
from liquid_control.ros.frames import Frames

__all__ = ["PolicyFigures"]


class PolicyFigures:
    """Counts decisions and how long they took, from one report to the next."""

    def __init__(self) -> None:
        self._frames = 0
        self.resets = 0
        self._latencies, self._inferences, self._ages = Window(), Window(), Window()

    def decided(self, latency: float, inference: float, age: float) -> None:
        """Count a decision.

        Args:
            latency: from the frame's publication to the command [s], wall time.
            inference: from the message to the decision [s], wall time.
            age: from the frame's stamp to the decision [s], on the node's clock.
        """
        self._frames += 1
        self._latencies.add(latency)
        self._inferences.add(inference)
        self._ages.add(age)

    def report(self, frames: Frames) -> dict[str, object]:
        """Figures since the last report, counts since the start."""
        rate, latencies = self._latencies.quantiles()
        _, inferences = self._inferences.quantiles()
        _, ages = self._ages.quantiles()
        left_out = frames.dropped + frames.refused.total()
        values = {
            "rate_hz": rate,
            "frames": self._frames,
            "dropped_frames": frames.dropped,
            "refused_frames": frames.refused.total(),
            "left_out_ratio": left_out / max(left_out + self._frames, 1),
            **{f"refused_{name}": count for name, count in sorted(frames.refused.items())},
            "resets": self.resets,
        }
        for name, found in (
            ("frame_to_command", latencies),
            ("inference", inferences),
            ("frame_age", ages),
        ):
            values |= {f"{name}_{quantile}_ms": value for quantile, value in found.items()}
        return values
