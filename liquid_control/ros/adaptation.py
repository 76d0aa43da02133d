"""The policy node's learning while driving: corrections in, new weights between two frames.

The learning itself is in `liquid_control.training.online`, in a process of its own. Here a person's
commands become labels, updates come into force, and each of them is published.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from geometry_msgs.msg import TwistStamped
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState

from liquid_control.circuits.flat import flat, number_names, put
from liquid_control.command import CommandSpec
from liquid_control.data.commands import command_values
from liquid_control.data.interventions import HOLD_S, MIN_SPEED
from liquid_control.data.updates import FIGURES, FORGOTTEN, LEARNT, SHIPPED, Record
from liquid_control.policy import Decision, Driver
from liquid_control.policy.fingerprint import weights_hash
from liquid_control.ros import conversion
from liquid_control.ros.runtime import SENSOR
from liquid_control.ros.vehicle import Motion, Vehicle
from liquid_control.training.online import Sample, Update
from liquid_control.training.online_process import LearnerProcess
from liquid_control.training.online_settings import Settings
from liquid_control.training.trust_region import TrustRegion

__all__ = ["Adaptation", "label"]

# A recorder that comes late still hears what was learnt until then.
_UPDATES = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
# A person's commands of the last moments; at 50 Hz these are those of a second.
_RECENT = 50


def label(spec: CommandSpec, vehicle: Vehicle, message: TwistStamped) -> np.ndarray:
    """A person's command in a policy's terms, (outputs,); NaN where it says nothing of an output.

    A yaw rate at standstill says nothing about a path.
    """
    values = command_values(message)
    if not values["speed"] > MIN_SPEED:
        values["curvature"] = np.nan
    angle = vehicle.wheel_angle(Motion(values["speed"], values["curvature"]))
    values["steering"] = angle / vehicle.max_wheel_angle
    return np.array([values.get(name, np.nan) for name in spec.names], np.float32)


class Adaptation:
    """Learning of a configured policy node; its weights change in `follow` and `forget` alone.

    Subscribes `intervention`, publishes `~/updates` (see `liquid_control.data.updates`).

    Args:
        node: the policy node.
        folder: of its model.
        driver: of its model; its policy's circuit is what changes.
        vehicle: to read a person's commands by.
        settings: how it learns.
        changed: called after the weights have changed.

    Raises:
        InputError: the model is none that can learn within bounds.
    """

    def __init__(
        self,
        node: LifecycleNode,
        folder: Path,
        driver: Driver,
        vehicle: Vehicle,
        settings: Settings,
        changed: Callable[[], None],
    ) -> None:
        policy = driver.policy
        self._node, self._driver, self._vehicle = node, driver, vehicle
        self._changed = changed
        self._region = TrustRegion(policy.circuit, settings.radius)
        self._names = [*FIGURES, *number_names(policy.circuit)]
        self._stamp = 0
        self._commands: deque[tuple[int, np.ndarray]] = deque(maxlen=_RECENT)
        self._accepted = self._refused = self._corrected = 0
        self._learner = LearnerProcess(folder, settings)
        # Not the lifecycle's, which would keep back what happens before the node is active.
        self._publisher = node.create_publisher(JointState, "~/updates", _UPDATES)
        self._subscription = node.create_subscription(
            TwistStamped, "intervention", self._on_intervention, SENSOR
        )
        self._change(SHIPPED, self._region.shipped, {"number": 0.0})

    def _on_intervention(self, message: TwistStamped) -> None:
        stamp = conversion.nanoseconds(message.header.stamp)
        self._commands.append((stamp, label(self._driver.policy.spec, self._vehicle, message)))

    def follow(self, decision: Decision, stamp: int) -> None:
        """Learn from a decision on the frame of `stamp` [ns], and take what was learnt."""
        self._stamp = stamp
        person = self._person(stamp)
        self._corrected += person is not None
        self._learner.add(
            Sample(
                features=self._driver.features,
                state=decision.state_before,
                elapsed=decision.elapsed,
                reset=decision.reset,
                command=decision.command,
                person=person,
            )
        )
        for update in self._learner.updates():
            self._take(update)

    def _person(self, stamp: int) -> np.ndarray | None:
        """The command that a person held at a frame; None while nobody had the vehicle in hand."""
        for given, command in reversed(self._commands):
            if 0 <= stamp - given <= HOLD_S * conversion.SECOND:
                return command
        return None

    def _take(self, update: Update) -> None:
        if not update.accepted:
            self._refused += 1
            return
        # Checked here as well: nothing but a step from these weights within the region comes in.
        weights = torch.from_numpy(update.weights)
        known = np.array_equal(update.before, flat(self._driver.policy.circuit).numpy())
        if not (known and self._region.holds(weights)):
            self._node.get_logger().error("An update does not fit the weights; learning ends.")
            self._learner.close()
            return
        self._accepted += 1
        figures = {name: float(getattr(update, name)) for name in FIGURES[1:]}
        self._change(LEARNT, weights, figures)

    def forget(self) -> str:
        """Back to the shipped weights; what was done, in words."""
        self._learner.forget()
        self._change(FORGOTTEN, self._region.shipped, {"number": float(self._accepted)})
        return "the model's own weights are in force, and all corrections are forgotten"

    def _change(self, kind: int, weights: torch.Tensor, figures: dict[str, float]) -> None:
        """New weights from the next frame on, said and published."""
        policy = self._driver.policy
        before, old = weights_hash(policy), flat(policy.circuit).double()
        put(policy.circuit, weights)
        self._driver.refresh()
        self._distance = self._region.distance(weights)
        record = Record(
            stamp=self._stamp,
            before=before,
            after=weights_hash(policy),
            weights=weights.numpy(),
            change=(weights.double() - old).numpy(),
            figures={"distance": self._distance, **figures, "kind": float(kind)},
        )
        values, change = record.vectors()
        self._publisher.publish(
            conversion.named_vector(self._names, values, record.stamp, record.frame_id(), change)
        )
        self._changed()

    def health(self) -> tuple[str, dict[str, object]]:
        """What is wrong, in words, and figures for the diagnostics."""
        values = {
            "updates": self._accepted,
            "updates_refused": self._refused,
            "corrected_frames": self._corrected,
            "frames_not_learnt_from": self._learner.dropped,
            "trust_region_used": self._distance,
        }
        alive = self._learner.alive
        return "" if alive else "the learner has ended; weights stay as they are", values

    def destroy(self) -> None:
        self._learner.close()
        self._node.destroy_publisher(self._publisher)
        self._node.destroy_subscription(self._subscription)
