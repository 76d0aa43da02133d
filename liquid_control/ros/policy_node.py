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
from typing import TYPE_CHECKING

import numpy as np
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from liquid_control import models
from liquid_control.camera import View
from liquid_control.errors import InputError
from liquid_control.ros import conversion, memory
from liquid_control.ros.camera_view import CameraView
from liquid_control.ros.camera_watch import CameraWatch
from liquid_control.ros.diagnostics import ERROR, OK, WARN, Diagnostics
from liquid_control.ros.frames import Frame, Frames, Refusal
from liquid_control.ros.one_publisher import OnePublisher
from liquid_control.ros.parameters import Parameters, declare_learning
from liquid_control.ros.policy_health import PolicyFigures
from liquid_control.ros.policy_parameters import ITEMS, unfit, vehicle_of
from liquid_control.ros.runtime import NEWEST, Stop, leave, run
from liquid_control.training.online_settings import Settings

if TYPE_CHECKING:
    from liquid_control.policy import Decision

__all__ = ["PolicyNode", "main"]

# Between two lines of the log for the same reason [s].
_PAUSE = 2.0
# Of a camera, after which another may take over [s]; longer where `max_gap` is.
_SILENCE = 0.5
# Of a frame that a stop is stamped as [ns]; a vehicle's driver may ignore what looks old.
_OLDEST = conversion.SECOND // 2
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class PolicyNode(LifecycleNode):
    """Subscribes `image` (or `image/compressed`); see `PolicyOutput` for what it publishes.

    Services: `~/reset` (fresh state), `~/enable` (False: stop and ignore frames), `~/forget` (back
    to the model's own weights, where `adapt` lets them change; see `Adaptation`).
    """

    def __init__(self) -> None:
        super().__init__("policy")
        self._driver = self._output = self._adaptation = self._watch = self._view = None
        self._subscription: Subscription | None = None
        self._cameras: OnePublisher | None = None
        self.parameters = Parameters(self, ITEMS, self._phase, self._unfit, self._changed)
        self.autostart = self.parameters["autostart"]
        self.failure = ""
        self._learning = declare_learning(self)
        self._enabled = True
        self._trouble = ""
        self._said_at: dict[str, float] = {}
        self._frames = Frames(self.parameters, self.get_clock())
        # By the reason to count by, what each looks at: one sentence where something is wrong, else
        # "". The first stops the vehicle. `frame_checks` look before a decision is made,
        # `decision_checks` before it becomes a command; after those the state is fresh.
        self.frame_checks: dict[str, Callable[[Frame], str]] = {}
        self.decision_checks: dict[str, Callable[[Frame, Decision], str]] = {}
        # Each gives what is wrong in one sentence, else "", and figures for the diagnostics.
        self.health_sources: list[Callable[[], tuple[str, Mapping[str, object]]]] = []
        self._figures = PolicyFigures()
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/forget", self._on_forget)
        Diagnostics(self, self.parameters["model"])

    def _phase(self) -> str:
        if self._driver is None:
            return "unconfigured"
        return "inactive" if self._subscription is None else "active"

    def _unfit(self, values: Mapping[str, object]) -> str:
        return unfit(values, None if self._driver is None else self._driver.policy)

    def _changed(self) -> None:
        if self._output is not None:
            self._output.vehicle = vehicle_of(self.parameters)

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

        from liquid_control.deploy.runtime import load_driver
        from liquid_control.ros.policy_output import PolicyOutput
        from liquid_control.ros.watch import DecisionWatch

        # One frame is too little work to share; more threads only disturb other processes.
        torch.set_num_threads(1)
        name = self.parameters["model"]
        folder = models.find(name)
        if self._learning is not None and self.parameters["runtime"] != "torch":
            raise InputError("Only the runtime torch can learn; set adapt to false, or runtime.")
        driver, vehicle = (
            load_driver(folder, self.parameters["runtime"]),
            vehicle_of(self.parameters),
        )
        policy = driver.policy
        vehicle.check(policy.spec)
        if text := unfit(self.parameters, policy):
            raise InputError(text)
        frame = np.zeros((policy.camera.height, policy.camera.width, 3), np.uint8)
        for _ in range(3):
            driver.step(frame, self.parameters["nominal_period"])
            driver.attention()
        learns = self._learning is not None
        self._guard = DecisionWatch(
            self, folder, driver, self.parameters, lambda: self._output.weights, learns
        )
        self._driver, self._folder = driver, folder.resolve()
        more = (self.parameters["stamped"], self.parameters["ackermann"])
        self._output = PolicyOutput(self, policy, vehicle, *more, runtime=driver.facts)
        self._watch = CameraWatch(self, self.parameters)
        self.frame_checks.clear()
        self.frame_checks |= self._guard.frame_checks | self._watch.checks
        self.decision_checks.clear()
        self.decision_checks |= self._guard.decision_checks
        self.health_sources[:] = [self._guard.health]
        if self._learning is not None:
            self._begin_to_learn(folder, self._learning)
            self.health_sources.append(self._adaptation.health)
        wiring, size = policy.wiring, f"a state of {len(policy.state_names)} numbers"
        if wiring is not None:
            size = f"{wiring.units} neurons, {wiring.synapses} synapses"
        self.get_logger().info(f"Loaded {name}: {size}, outputs {', '.join(policy.spec.names)}.")
        memory.settle()

    def _begin_to_learn(self, folder: Path, settings: Settings) -> None:
        from liquid_control.ros.adaptation import Adaptation

        changed = self._output.weights_changed
        try:
            self._adaptation = Adaptation(
                self, folder, self._driver, self._output.vehicle, settings, changed
            )
        except InputError:
            self._unload()
            raise

    def _activate(self) -> None:
        self._reset()
        self._enabled, self._trouble = True, ""
        view, setup = View.of(self.parameters), self._driver.policy.camera
        self._view = CameraView(self, view, setup, self._output.calibrated)
        self._frames.begin(self._view.show)
        self._guard.forget()
        self._watch.forget()
        # Listening only while active also tells others, through the graph, that it is.
        if self.parameters["image_transport"] == "raw":
            kind, topic = Image, "image"
        else:
            kind, topic = CompressedImage, "image/compressed"
        self._cameras = OnePublisher(self, topic, max(_SILENCE, self.parameters["max_gap"]))
        self._subscription = self.create_subscription(kind, topic, self._on_image, NEWEST)
        self._output.facts(str(self._folder), self._subscription.topic_name)
        self.get_logger().info(f"Driving by {self._subscription.topic_name}.")

    def _halt(self) -> None:
        if self._subscription is None:
            return
        self.destroy_subscription(self._subscription)
        self._view.destroy()
        self._subscription = self._view = None
        self._stop_vehicle()

    def _unload(self) -> None:
        if self._output is not None:
            self._output.destroy()
        if self._adaptation is not None:
            self._adaptation.destroy()
        if self._watch is not None:
            self._watch.destroy()
            self._guard.destroy()
        self._driver = self._output = self._adaptation = self._watch = None
        self.health_sources.clear()

    def close(self) -> None:
        self._halt()
        self._unload()

    def _stop_vehicle(self) -> None:
        self._output.stop(self.get_clock().now().nanoseconds, last=True)

    # Services

    def _reset(self) -> None:
        self._driver.reset()
        self._frames.forget()
        self._figures.resets += 1

    def _on_reset(self, request: Trigger.Request, reply: Trigger.Response) -> Trigger.Response:
        reply.success = self._driver is not None
        reply.message = "the state is fresh" if reply.success else "no model is loaded"
        if reply.success:
            self._reset()
            self._guard.release()
            self._watch.forget()
            if self._cameras is not None:
                self._cameras.forget()
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
        arrived, now = time.time_ns(), time.monotonic()
        # Two cameras on one topic would take turns with the vehicle.
        if not self._cameras.admits(info, now):
            self._frames.refused["other_publisher"] += 1
            return
        self._cameras.obeyed(info, now)
        self._frames.count(info)
        if not self._enabled:
            return
        began = time.perf_counter()
        try:
            frame = self._look(message)
            decision = self._decide(frame)
        except Refusal as refusal:
            self._refuse(refusal, conversion.nanoseconds(message.header.stamp))
            return
        inference = time.perf_counter() - began
        share = self._guard.speed_share
        self._output.command(decision, frame.stamp, share)
        # What the middleware stamps when a frame is published; 0 where it does not.
        sent = info["source_timestamp"] or arrived
        latency = (time.time_ns() - sent) * 1e-9
        self._trouble = ""
        self._figures.decided(latency, inference, frame.age)
        self._publish(frame, decision, latency, inference)
        self._guard.follow(frame, share)

    def _look(self, message: Image | CompressedImage) -> Frame:
        """The frame of a message, once nothing speaks against it."""
        frame = self._frames.read(message)
        for reason, check in self.frame_checks.items():
            if text := check(frame):
                raise Refusal(reason, text)
        if frame.afresh:
            self.get_logger().warning(frame.afresh, throttle_duration_sec=1.0)
            self._reset()
        return frame

    def _decide(self, frame: Frame) -> Decision:
        """The decision on a frame, once nothing speaks against it."""
        try:
            decision = self._driver.step(frame.pixels, frame.elapsed)
        except InputError as error:
            raise Refusal("picture", str(error)) from error
        self._frames.decided(frame)
        for reason, check in self.decision_checks.items():
            if text := check(frame, decision):
                self._reset()
                raise Refusal(reason, text)
        return decision

    def _publish(self, frame: Frame, decision: Decision, latency: float, inference: float) -> None:
        """What may come after the command: audit trail, attention, learning."""
        self._output.audit(decision, frame.stamp, frame.message)
        self._output.latency(latency, inference, frame.stamp)
        frame_id = frame.message.header.frame_id
        self._output.attention(frame.pixels, self._driver.attention, frame.stamp, frame_id)
        if self._adaptation is not None:
            self._adaptation.follow(decision, frame.stamp)

    def _refuse(self, refusal: Refusal, stamp: int) -> None:
        """Say what is wrong with the frame of `stamp` [ns], and stop the vehicle as long as it is.

        The stop has that stamp, too, unless it makes no sense itself: later than its frame, it
        would have the safety node refuse the commands on the next frames as older than it.
        """
        self._frames.refused[refusal.reason] += 1
        text, now = str(refusal), time.monotonic()
        # Once, and for one that comes and goes, or has another number each time, not too often.
        if text != self._trouble and now - self._said_at.get(refusal.reason, -math.inf) > _PAUSE:
            self._said_at[refusal.reason] = now
            self.get_logger().error(text)
        self._trouble = text
        if refusal.stop:
            now_ns = self.get_clock().now().nanoseconds
            sensible = 0 <= now_ns - stamp <= _OLDEST
            self._output.stop(stamp if sensible else now_ns, last=False)

    def health(self) -> tuple[bytes, str, Mapping[str, object]]:
        values, unwell = self._figures.report(self._frames), ""
        for source in self.health_sources:
            text, figures = source()
            unwell, values = unwell or text, {**values, **figures}
        if self.failure and self._driver is None:
            return ERROR, self.failure, values
        if self._trouble:
            return ERROR, self._trouble, values
        if self._subscription is None:
            return OK, "not active", values
        if not self._enabled:
            return WARN, "disabled by service", values
        if crowd := self._cameras.report():
            return ERROR, crowd, values
        if not values["rate_hz"]:
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
