"""What the policy node publishes: commands, the audit trail, and attention for whoever looks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String

from liquid_control.attention.overlay import overlay
from liquid_control.camera import Calibration
from liquid_control.data.messages import image_hash
from liquid_control.policy import Decision, Policy
from liquid_control.policy.fingerprint import (
    Hashes,
    build_facts,
    configuration_hash,
    text_hash,
    weights_hash,
)
from liquid_control.ros import ackermann, conversion
from liquid_control.ros.runtime import COMMAND, LATCHED, SENSOR, deliver
from liquid_control.ros.vehicle import Flight, Motion, Vehicle

__all__ = ["PolicyOutput"]

# The audit trail is to be complete: half a second of frames may wait for a slow recorder.
_AUDIT = 15


class PolicyOutput:
    """The publishers of a configured policy node.

    Everything carries the stamp of the frame that it was computed from.
    """

    def __init__(
        self,
        node: LifecycleNode,
        policy: Policy,
        vehicle: Vehicle,
        stamped: bool,
        ackermann_too: bool = False,
        *,
        runtime: Mapping[str, str],
    ) -> None:
        self._runtime = runtime
        self._node, self._policy, self.vehicle, self._stamped = node, policy, vehicle, stamped
        self._publishers: list[LifecyclePublisher] = []
        self._command = self._publisher(TwistStamped if stamped else Twist, "cmd_vel", COMMAND)
        self._ackermann = None
        self._ackermann_type = ackermann.message_type()
        if ackermann_too:
            self._ackermann = self._publisher(self._ackermann_type, "ackermann_cmd", COMMAND)
        # Not a lifecycle publisher: said while the node is being activated.
        self._facts = node.create_publisher(String, "~/facts", LATCHED)
        self._facts_of, self._facts_hash, self._number = ("", "", None), "", 0
        node.add_post_set_parameters_callback(self._on_parameters)
        self.weights_changed()
        self._shipped = self.weights
        self._decision = self._publisher(JointState, "~/decision", _AUDIT)
        self._neurons = self._publisher(JointState, "~/neurons", _AUDIT)
        self._latency = self._publisher(JointState, "~/latency", _AUDIT)
        self._attention = self._publisher(Image, "~/attention", SENSOR)
        self._overlay = self._publisher(Image, "~/attention/overlay", SENSOR)
        self._compressed = self._publisher(
            CompressedImage, "~/attention/overlay/compressed", SENSOR
        )
        names = policy.state_names
        self._neuron_names = list(names)
        self._audit_names = [*names, "number", "elapsed", "reset", *policy.spec.names]

    def _publisher(self, kind: type, topic: str, qos: object) -> LifecyclePublisher:
        publisher = self._node.create_lifecycle_publisher(kind, topic, qos)
        self._publishers.append(publisher)
        return publisher

    def destroy(self) -> None:
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._node.destroy_publisher(self._facts)
        self._node.remove_post_set_parameters_callback(self._on_parameters)

    def facts(self, model: str, image_topic: str, calibration: Calibration | None = None) -> None:
        """Publish, as JSON, what the decisions from now on rest on; they name its hash.

        Args:
            model: folder of the model.
            image_topic: full name of the camera's topic.
            calibration: of the camera, where its lens is undone.
        """
        self._facts_of = model, image_topic, calibration
        parameters = self._node.get_parameters_by_prefix("")
        facts = {
            "format": "liquid_control facts 1",
            "node": self._node.get_fully_qualified_name(),
            "model": model,
            "weights": self._shipped,
            "configuration": configuration_hash(self._policy),
            "image": image_topic,
            "command": self._command.topic_name,
            "camera_info": None if calibration is None else calibration.to_dict(),
            "parameters": {name: parameters[name].value for name in sorted(parameters)},
            "build": {**build_facts(), **self._runtime},
        }
        text = json.dumps(facts, default=list)
        self._facts_hash = text_hash(text)
        self._facts.publish(String(data=text))

    def calibrated(self, calibration: Calibration) -> None:
        """Decisions from now on rest on this calibration, too."""
        self.facts(*self._facts_of[:2], calibration)

    def weights_changed(self) -> None:
        """Decisions from now on name the hash of the weights as they are now."""
        self.weights = weights_hash(self._policy)

    def _on_parameters(self, changed: list[Parameter]) -> None:
        if self._facts_hash:
            self.facts(*self._facts_of)

    def command(
        self, decision: Decision, stamp_ns: int, speed_share: float = 1.0
    ) -> Motion | Flight:
        motion = self.vehicle.motion(self._policy.spec, decision.command).slowed(speed_share)
        self._command.publish(self._twist(motion, stamp_ns))
        if self._ackermann is not None:
            self._ackermann.publish(self._ackermann_message(motion, stamp_ns))
        return motion

    def stop(self, stamp_ns: int, last: bool) -> None:
        """Tell the vehicle to stand still; if it is the `last` command, see that it arrives."""
        if self._ackermann is not None:
            self._ackermann.publish(self._ackermann_message(Motion(), stamp_ns))
        publish = deliver if last else LifecyclePublisher.publish
        publish(self._command, self._twist(Motion(), stamp_ns))

    def _twist(self, motion: Motion | Flight, stamp_ns: int) -> TwistStamped | Twist:
        speed, left, up = motion.velocity
        if self._stamped:
            return conversion.twist_stamped(speed, motion.yaw_rate, stamp_ns, left=left, up=up)
        return conversion.twist(speed, motion.yaw_rate, left, up)

    def _ackermann_message(self, motion: Motion, stamp_ns: int) -> object:
        angle = self.vehicle.wheel_angle(motion)
        return ackermann.fill(self._ackermann_type, motion.speed, angle, stamp_ns)

    def audit(self, decision: Decision, stamp_ns: int, image: Image | CompressedImage) -> None:
        """Publish what recomputing the decision takes, and the neurons after it.

        Decisions are numbered, so that one that is missing in a recording is noticed.
        """
        values = np.concatenate(
            [
                decision.state_before.astype(np.float64),
                [self._number, decision.elapsed, float(decision.reset)],
                decision.command.astype(np.float64),
            ]
        )
        hashes = Hashes(
            decision.frame_hash, image_hash(image), self.weights, self._facts_hash
        ).sealed(stamp_ns, self._audit_names, values)
        self._decision.publish(
            conversion.named_vector(self._audit_names, values, stamp_ns, str(hashes))
        )
        if self._neurons.get_subscription_count():
            self._neurons.publish(
                conversion.named_vector(
                    self._neuron_names,
                    decision.state,
                    stamp_ns,
                    f"number={self._number}",
                    decision.time_constants,
                )
            )
        self._number += 1

    def latency(self, age: float, inference: float, stamp_ns: int) -> None:
        """Frame to command and inference alone, both wall-clock durations [s]."""
        self._latency.publish(
            conversion.named_vector(("age", "inference"), (age, inference), stamp_ns)
        )

    def attention(
        self, frame: np.ndarray, saliency: Callable[[], np.ndarray], stamp_ns: int, frame_id: str
    ) -> None:
        """Publish where the policy looked; computes nothing while nobody listens."""
        wants_map = self._attention.get_subscription_count()
        wants_overlay = self._overlay.get_subscription_count()
        wants_jpeg = self._compressed.get_subscription_count()
        if not (wants_map or wants_overlay or wants_jpeg):
            return
        attention = saliency()
        if wants_map:
            level = np.rint(attention * 255).astype(np.uint8)
            self._attention.publish(conversion.image(level, stamp_ns, frame_id))
        if wants_overlay or wants_jpeg:
            drawn = overlay(self._policy.camera.apply(frame), attention)
            if wants_overlay:
                self._overlay.publish(conversion.image(drawn, stamp_ns, frame_id))
            if wants_jpeg:
                self._compressed.publish(conversion.jpeg_image(drawn, stamp_ns, frame_id))
