"""Policy node: camera frames in, commands out, every decision published for the audit trail.

A lifecycle node: configure loads and warms the model, activate starts from a fresh state and begins
to listen to the camera, deactivate stops the vehicle. With the parameter `autostart` the node goes
through the first two by itself, so that no lifecycle manager is needed.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from liquid_control import models
from liquid_control.errors import InputError
from liquid_control.ros import conversion
from liquid_control.ros.diagnostics import ERROR, OK, WARN, Diagnostics, Window
from liquid_control.ros.parameters import declare, declare_learning
from liquid_control.ros.runtime import NEWEST, Stop, leave, run
from liquid_control.ros.vehicle import Vehicle
from liquid_control.training.online_settings import Settings

__all__ = ["PolicyNode", "main"]

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class PolicyNode(LifecycleNode):
    """Subscribes `image` (or `image/compressed`); see `PolicyOutput` for what it publishes.

    Services: `~/reset` (fresh state), `~/enable` (False: stop and ignore frames), `~/forget` (back
    to the model's own weights, where `adapt` lets them change; see `Adaptation`).
    """

    def __init__(self) -> None:
        super().__init__("policy")
        self._model = declare(self, "model", "driving_ncp", "name or folder of the model")
        self.autostart = declare(self, "autostart", True, "configure and activate at start")
        self._transport = declare(self, "image_transport", "raw", "raw or compressed")
        self._stamped = declare(self, "stamped", True, "cmd_vel as TwistStamped; else Twist")
        self._max_gap = declare(
            self, "max_gap", 0.2, "longer silence between frames resets the state [s]", 0.01, 10.0
        )
        self._period = declare(
            self, "nominal_period", 1 / 30, "elapsed time of a first frame [s]", 0.001, 1.0
        )
        self._vehicle = Vehicle(
            speed=declare(self, "speed", 5.0, "for models without a speed [m/s]", 0.0, 60.0),
            wheelbase=declare(self, "wheelbase", 2.7, "of the vehicle [m]", 0.01, 20.0),
            max_wheel_angle=declare(
                self, "max_wheel_angle", 0.4, "full lock, for models that steer [rad]", 0.01, 1.5
            ),
        )
        if self._transport not in ("raw", "compressed"):
            raise InputError(
                f"Parameter image_transport must be raw or compressed, got {self._transport!r}; "
                "other transports need a republisher."
            )
        self.failure = ""
        self._learning = declare_learning(self)
        self._driver = self._output = self._adaptation = None
        self._subscription: Subscription | None = None
        self._enabled = True
        self._last_stamp: int | None = None
        self._last_sequence = 0
        self._trouble = ""
        self._frames = self._dropped = self._refused = self._resets = 0
        self._ages, self._inferences = Window(), Window()
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/forget", self._on_forget)
        Diagnostics(self, self._model)

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self._configure, super().on_configure, state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self._activate, super().on_activate, state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self._halt, super().on_deactivate, state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition(self._unload, super().on_cleanup, state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._halt()
        return self._transition(self._unload, super().on_shutdown, state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._halt()
        self._unload()
        return super().on_error(state)

    def _transition(
        self, work: Callable[[], None], base: Callable, state: LifecycleState
    ) -> TransitionCallbackReturn:
        try:
            work()
        except InputError as error:
            self.failure = str(error)
            self.get_logger().error(self.failure)
            return FAILURE
        except Exception:
            # rclpy answers an exception with the error state and says nothing of it.
            self.get_logger().error(traceback.format_exc())
            raise
        return base(state)

    def _configure(self) -> None:
        import torch

        from liquid_control.policy import Driver, Policy
        from liquid_control.ros.policy_output import PolicyOutput

        # One frame is too little work to share; more threads only disturb other processes.
        torch.set_num_threads(1)
        folder = models.find(self._model)
        policy = Policy.load(folder)
        self._vehicle.check(policy.spec)
        driver = Driver(policy)
        frame = np.zeros((policy.camera.height, policy.camera.width, 3), np.uint8)
        for _ in range(3):
            driver.step(frame, self._period)
            driver.attention()
        self._driver = driver
        self._output = PolicyOutput(self, policy, self._vehicle, self._stamped)
        if self._learning is not None:
            self._begin_to_learn(folder, self._learning)
        wiring, size = policy.wiring, f"a state of {len(policy.state_names)} numbers"
        if wiring is not None:
            size = f"{wiring.units} neurons, {wiring.synapses} synapses"
        self.get_logger().info(
            f"Loaded {self._model}: {size}, outputs {', '.join(policy.spec.names)}."
        )

    def _begin_to_learn(self, folder: Path, settings: Settings) -> None:
        from liquid_control.ros.adaptation import Adaptation

        changed = self._output.weights_changed
        try:
            self._adaptation = Adaptation(
                self, folder, self._driver, self._vehicle, settings, changed
            )
        except InputError:
            self._unload()
            raise

    def _activate(self) -> None:
        self._reset()
        self._enabled = True
        self._last_sequence = 0
        # Listening only while active also tells others, through the graph, that it is.
        if self._transport == "raw":
            kind, topic = Image, "image"
        else:
            kind, topic = CompressedImage, "image/compressed"
        self._subscription = self.create_subscription(kind, topic, self._on_image, NEWEST)
        self._output.facts(str(models.find(self._model).resolve()), self._subscription.topic_name)
        self.get_logger().info(f"Driving by {self._subscription.topic_name}.")

    def _halt(self) -> None:
        if self._subscription is None:
            return
        self.destroy_subscription(self._subscription)
        self._subscription = None
        self._stop_vehicle()

    def _unload(self) -> None:
        if self._output is not None:
            self._output.destroy()
        if self._adaptation is not None:
            self._adaptation.destroy()
        self._driver = self._output = self._adaptation = None

    def close(self) -> None:
        self._halt()
        self._unload()

    def _stop_vehicle(self, last: bool = True) -> None:
        self._output.stop(self.get_clock().now().nanoseconds, last)

    # Services

    def _reset(self) -> None:
        self._driver.reset()
        self._last_stamp = None
        self._resets += 1

    def _on_reset(self, request: Trigger.Request, reply: Trigger.Response) -> Trigger.Response:
        reply.success = self._driver is not None
        reply.message = "the state is fresh" if reply.success else "no model is loaded"
        if reply.success:
            self._reset()
        return reply

    def _on_enable(self, request: SetBool.Request, reply: SetBool.Response) -> SetBool.Response:
        reply.success = self._subscription is not None
        reply.message = "enabled" if request.data else "stopped"
        if not reply.success:
            reply.message = "the node is not active"
        elif request.data and not self._enabled:
            self._reset()
        elif not request.data:
            self._stop_vehicle()
        self._enabled = bool(request.data)
        return reply

    def _on_forget(self, request: Trigger.Request, reply: Trigger.Response) -> Trigger.Response:
        reply.success = self._adaptation is not None
        reply.message = "nothing is learnt: the parameter adapt is false, or no model is loaded"
        if reply.success:
            reply.message = self._adaptation.forget()
        return reply

    # Frames

    def _on_image(self, message: Image | CompressedImage, info: Mapping[str, int]) -> None:
        arrived = time.time_ns()
        if not self._enabled:
            return
        self._count_dropped(info)
        stamp = conversion.nanoseconds(message.header.stamp)
        began = time.perf_counter()
        try:
            frame = conversion.decode_image(message)
            decision = self._driver.step(frame, self._elapsed(stamp))
        except InputError as error:
            self._refuse(str(error))
            return
        inference = time.perf_counter() - began
        self._last_stamp = stamp
        if not all(map(math.isfinite, decision.command)):
            self._refuse(f"The model {self._model} gave a command that is not finite; reset it.")
            self._reset()
            return
        self._output.command(decision, stamp)
        # What the middleware stamps when a frame is published; 0 where it does not.
        sent = info["source_timestamp"] or arrived
        age = (time.time_ns() - sent) * 1e-9
        self._trouble = ""
        self._frames += 1
        self._ages.add(age)
        self._inferences.add(inference)
        self._output.audit(decision, stamp, message)
        self._output.latency(age, inference, stamp)
        frame_id = message.header.frame_id
        self._output.attention(frame, self._driver.attention, stamp, frame_id)
        if self._adaptation is not None:
            self._adaptation.follow(decision, stamp)

    def _elapsed(self, stamp: int) -> float:
        """Time since the frame before [s]; a gap or a clock set back makes the state fresh."""
        if self._last_stamp is not None:
            elapsed = (stamp - self._last_stamp) * 1e-9
            if 0.0 <= elapsed <= self._max_gap:
                return elapsed
            self.get_logger().warning(
                f"The frames' stamps went on by {elapsed:.3f} s; the state starts afresh.",
                throttle_duration_sec=1.0,
            )
            self._reset()
        return self._period

    def _count_dropped(self, info: Mapping[str, int]) -> None:
        # 0 or None: this middleware does not number its messages.
        sequence = info.get("publication_sequence_number") or 0
        if 0 < self._last_sequence < sequence:
            self._dropped += sequence - self._last_sequence - 1
        self._last_sequence = sequence

    def _refuse(self, text: str) -> None:
        """Say once what is wrong with the frames, and stop the vehicle as long as it is."""
        self._refused += 1
        if text != self._trouble:
            self._trouble = text
            self.get_logger().error(text)
        self._stop_vehicle(last=False)

    def health(self) -> tuple[bytes, str, Mapping[str, object]]:
        rate, age, late_age = self._ages.report()
        _, inference, late_inference = self._inferences.report()
        values = {
            "rate_hz": rate,
            "frames": self._frames,
            "dropped_frames": self._dropped,
            "refused_frames": self._refused,
            "resets": self._resets,
            "frame_to_command_p50_ms": age,
            "frame_to_command_p99_ms": late_age,
            "inference_p50_ms": inference,
            "inference_p99_ms": late_inference,
        }
        unwell = ""
        if self._adaptation is not None:
            unwell, learning = self._adaptation.health()
            values |= learning
        if self.failure and self._driver is None:
            return ERROR, self.failure, values
        if self._trouble:
            return ERROR, self._trouble, values
        if self._subscription is None:
            return OK, "not active", values
        if not self._enabled:
            return WARN, "disabled by service", values
        if not rate:
            return WARN, f"no frames on {self._subscription.topic_name}", values
        if unwell:
            return WARN, unwell, values
        return OK, "driving", values


def create(stop: Stop) -> PolicyNode:
    node = PolicyNode()
    if node.autostart:
        for trigger in (node.trigger_configure, node.trigger_activate):
            if stop.code is None and trigger() != SUCCESS:
                raise InputError(node.failure or "The policy could not be started; see its log.")
    return node


def main(arguments: list[str] | None = None) -> int:
    return run(create, arguments)


if __name__ == "__main__":
    leave(main())
