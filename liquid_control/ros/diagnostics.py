"""What a node tells `/diagnostics` once a second: a level, a sentence, and figures of the last one.

`diagnostic_updater` would do the publishing, but it is not in every installation of rclpy.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from liquid_control.ros.runtime import every

__all__ = ["ERROR", "OK", "WARN", "Diagnostics", "Window"]

_QUANTILES = (50, 95, 99)
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Window:
    """Durations [s] since the last report, and how many came per second."""

    def __init__(self) -> None:
        self._values: list[float] = []
        self._begin = time.monotonic()

    def add(self, seconds: float) -> None:
        self._values.append(seconds)

    def report(self) -> tuple[float, float, float]:
        """Rate [1/s], median and 99th percentile [ms] since the last call; 0 where nothing came."""
        rate, found = self.quantiles()
        return rate, found["p50"], found["p99"]

    def quantiles(self) -> tuple[float, dict[str, float]]:
        """Rate [1/s] and "p50", "p95" and "p99" [ms] since the last call; 0 where nothing came."""
        values, self._values = self._values, []
        now = time.monotonic()
        span, self._begin = now - self._begin, now
        found = np.percentile(values, _QUANTILES) * 1e3 if values else np.zeros(len(_QUANTILES))
        names = (f"p{quantile}" for quantile in _QUANTILES)
        return len(values) / max(span, 1e-9), dict(zip(names, map(float, found), strict=True))


class Diagnostics:
    """Publishes one status of `node` at 1 Hz on the steady clock.

    Args:
        hardware: what the node works on: a model, a world, a bag.
    """

    def __init__(self, node: Node, hardware: str = "") -> None:
        self._node, self._hardware = node, hardware
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = every(node, 1.0, self._tick)

    def _tick(self) -> None:
        level, text, values = self._node.health()
        self.publish(level, text, values)

    def publish(self, level: bytes, text: str, values: Mapping[str, object]) -> None:
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        name = self._node.get_fully_qualified_name().lstrip("/")
        message.status = [
            DiagnosticStatus(
                level=level,
                name=name,
                message=text,
                hardware_id=self._hardware,
                values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()],
            )
        ]
        self._publisher.publish(message)


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
