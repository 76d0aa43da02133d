"""What the supervisor hears of a run while it goes on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import JointState

from liquid_control.data.messages import read_named_vector
from liquid_control.ros.conversion import nanoseconds

__all__ = ["Monitor"]

# Frames that rate and latency on the screen are taken from; two seconds at 30 Hz.
_RECENT = 60


class Monitor(Node):
    """Subscribes the policy's and the simulator's vectors and keeps their last values.

    Attributes:
        decision, state, neurons, expert: last values by name.
        frames: decisions heard.
        crashes, successes: how often an episode ended so, as the simulator says.
        driver: who drives, as the safety node says; empty before it has.
        dropped: frames that came while the policy was busy, as it last said (once a second).
        begin, now: stamps of the first decision with the vehicle under way and of the last [s].
        ages: frame to command of the last frames [s].
    """

    def __init__(self) -> None:
        super().__init__("supervisor")
        self.decision: Mapping[str, float] = {}
        self.state: Mapping[str, float] = {}
        self.neurons: Mapping[str, float] = {}
        self.expert: Mapping[str, float] = {}
        self.driver = ""
        self.frames = self.crashes = self.successes = self.dropped = 0
        self.begin: float | None = None
        self.now = 0.0
        self.ages: deque[float] = deque(maxlen=_RECENT)
        self._arrivals: deque[float] = deque(maxlen=_RECENT)
        # Everybody's diagnostics come on one topic, those of other vehicles and cameras as well.
        self._policy = self.resolve_topic_name("policy").lstrip("/")
        for kind, topic, callback in (
            (JointState, "policy/decision", self._on_decision),
            (JointState, "policy/neurons", self._on_neurons),
            (JointState, "policy/latency", self._on_latency),
            (JointState, "simulator/state", self._on_state),
            (JointState, "expert/command", self._on_expert),
            (JointState, "safety/state", self._on_safety),
            (DiagnosticArray, "/diagnostics", self._on_diagnostics),
        ):
            self.create_subscription(kind, topic, callback, 15)

    @property
    def seconds(self) -> float:
        """Time on the frames' stamps since the vehicle began to move [s]."""
        return 0.0 if self.begin is None else self.now - self.begin

    @property
    def rate(self) -> float:
        """Decisions per second of wall-clock time over the last ones."""
        if len(self._arrivals) < 2:
            return 0.0
        return (len(self._arrivals) - 1) / max(self._arrivals[-1] - self._arrivals[0], 1e-9)

    @property
    def latency(self) -> tuple[float, float]:
        """Median and 99th percentile of frame to command over the last frames [ms]."""
        if not self.ages:
            return 0.0, 0.0
        middle, late = np.percentile(self.ages, [50, 99]) * 1e3
        return float(middle), float(late)

    def _on_decision(self, message: JointState) -> None:
        self.decision = read_named_vector(message)
        self.frames += 1
        self.now = nanoseconds(message.header.stamp) * 1e-9
        # The simulated vehicle waits until its nodes have found one another.
        if self.begin is None and not self.state.get("waiting"):
            self.begin = self.now
        self._arrivals.append(time.monotonic())

    def _on_neurons(self, message: JointState) -> None:
        self.neurons = read_named_vector(message)

    def _on_latency(self, message: JointState) -> None:
        self.ages.append(message.position[0])

    def _on_state(self, message: JointState) -> None:
        self.state = read_named_vector(message)
        self.crashes = int(self.state["crashes"])
        self.successes = int(self.state["successes"])

    def _on_expert(self, message: JointState) -> None:
        self.expert = read_named_vector(message)

    def _on_safety(self, message: JointState) -> None:
        self.driver = message.header.frame_id

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            for item in status.values:
                if status.name == self._policy and item.key == "dropped_frames":
                    self.dropped = int(item.value)
