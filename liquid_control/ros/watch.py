"""Watches every decision of the policy node: can the policy make it, and does it know this view?

A decision with a number outside of its provable bounds (`policy.guarantees`) comes from a damaged
memory, a wrong weight or a wrong build, and so may every later one: the vehicle stops, and stays
stopped until a person asks for `~/reset` or configures the node anew. Most damaged weights leave
the neurons within their bounds, so the weights are hashed once a second as well.

A view unlike training (`attention.monitor`) is no proof of anything: it is a warning, and by the
parameter `attention_monitor` a slower drive as long as it lasts. The decision stays the policy's;
what was taken from its speed is published on `~/watch`, and audited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import JointState

from liquid_control.attention.monitor import Attention, AttentionMonitor, Calibration
from liquid_control.errors import InputError
from liquid_control.policy import Decision, Driver, Policy
from liquid_control.policy.bounds import Interval
from liquid_control.policy.fingerprint import weights_hash
from liquid_control.policy.guarantees import Guarantees
from liquid_control.ros import conversion
from liquid_control.ros.frames import Frame
from liquid_control.training.trust_region import TrustRegion

__all__ = ["NAMES", "DecisionWatch"]

# Of the vector on `~/watch`. A slower drive cannot be audited without it: half a second may wait.
NAMES = ("attention_similarity", "attention_drift", "attention_alarm", "speed_share")
_DEPTH = 15
_USUAL = Attention(similarity=1.0, drift=0.0, alarm=False)


class DecisionWatch:
    """Checks of the policy node, one sentence where something is wrong, else "".

    Args:
        node: publishes `~/watch` (JointState, `NAMES`), stamped as the frame of the decision.
        folder: of the model, with the calibration of its attention monitor where it has one.
        driver: of the policy as it was loaded; its bounds are taken now and kept.
        parameters: "attention_monitor", and looked up at each frame "attention_monitor_every" and
            "attention_slow".
        weights: says the hash that the weights should have.
        learns: the weights may change, within `training.trust_region`.

    Raises:
        InputError: the calibration is damaged or of other weights, or there is none to slow by.
    """

    def __init__(
        self,
        node: LifecycleNode,
        folder: Path,
        driver: Driver,
        parameters: Mapping[str, Any],
        weights: Callable[[], str],
        learns: bool,
    ) -> None:
        self._node, self._driver, self._parameters = node, driver, parameters
        self._weights = weights
        self._guarantees = Guarantees.of(driver.policy)
        if learns:
            self._guarantees = _learning(self._guarantees, driver.policy)
        self._violations, self._latched = 0, ""
        self._monitor = _monitor(folder, driver.policy, parameters["attention_monitor"])
        self._alarms = 0
        self.forget()
        self._publisher = None
        if self._monitor is not None:
            self._publisher = node.create_lifecycle_publisher(JointState, "~/watch", _DEPTH)

    @property
    def frame_checks(self) -> dict[str, Callable[[Frame], str]]:
        return {"violation": self._before}

    @property
    def decision_checks(self) -> dict[str, Callable[[Frame, Decision], str]]:
        return {"violation": self._check}

    def _before(self, frame: Frame) -> str:
        if frame.afresh:
            self.forget()
        return self._latched

    def _check(self, frame: Frame, decision: Decision) -> str:
        violation = self._guarantees.check(decision)
        if violation is None:
            return ""
        self._violations += 1
        self._latched = (
            f"The {violation}, which correct computation cannot give; the vehicle stays stopped "
            "until ~/reset. If it comes again, load the model anew and test the memory."
        )
        return self._latched

    def _check_weights(self) -> None:
        """Half a millisecond for the flagship, so not at every frame."""
        found, wanted = weights_hash(self._driver.policy), self._weights()
        if found == wanted:
            return
        self._violations += 1
        self._latched = (
            f"The weights in memory have the hash {found}, those in force had {wanted}: a number "
            "of the model has changed; the vehicle stays stopped. Configure the node anew, and "
            "test the memory."
        )

    def forget(self) -> None:
        """What comes next has no recent past."""
        self._attention, self._elapsed, self._count = _USUAL, 0.0, 0
        if self._monitor is not None:
            self._monitor.forget()

    def release(self) -> None:
        """A person asked to go on."""
        self._latched = ""
        self._check_weights()
        self.forget()

    @property
    def speed_share(self) -> float:
        """Of the policy's speed that the vehicle may drive now."""
        slow = self._attention.alarm and self._parameters["attention_monitor"] == "slow"
        return float(self._parameters["attention_slow"]) if slow else 1.0

    def follow(self, frame: Frame, speed_share: float) -> None:
        """Publish what was said of a decision's frame, then look at where the policy looked.

        Args:
            frame: that was decided on.
            speed_share: with which the command went out.
        """
        if self._monitor is None:
            return
        if self._publisher.get_subscription_count():
            seen = self._attention
            values = (seen.similarity, seen.drift, float(seen.alarm), speed_share)
            self._publisher.publish(conversion.named_vector(NAMES, values, frame.stamp))
        self._elapsed += frame.elapsed
        if self._count % self._parameters["attention_monitor_every"] == 0:
            self._look()
        self._count += 1

    def _look(self) -> None:
        before = self._attention.alarm
        saliency, activity = self._driver.attention(), self._driver.activity()
        self._attention = self._monitor.look(saliency, activity, self._elapsed)
        self._elapsed = 0.0
        if self._attention.alarm:
            self._alarms += not before
            self._node.get_logger().warning(self._unwell(), throttle_duration_sec=5.0)

    def _unwell(self) -> str:
        if not self._attention.alarm:
            return ""
        slower = ", and the vehicle is slowed down" if self.speed_share < 1 else ""
        return (
            "the camera shows something unlike what the model was trained on (attention: drift "
            f"{self._attention.drift:.1f}, similarity {self._attention.similarity:.2f}){slower}"
        )

    def health(self) -> tuple[str, Mapping[str, object]]:
        """What is odd, in words, and figures for the diagnostics, since the last call."""
        if not self._latched:
            self._check_weights()
        share, name = self._guarantees.largest_share()
        values = {
            "violations": self._violations,
            "largest_state_share": share,
            "largest_state_neuron": name,
        }
        if self._monitor is not None:
            values |= {
                "attention_similarity": self._attention.similarity,
                "attention_drift": self._attention.drift,
                "attention_alarms": self._alarms,
                "speed_share": self.speed_share,
            }
        return self._unwell(), values

    def destroy(self) -> None:
        if self._publisher is not None:
            self._node.destroy_lifecycle_publisher(self._publisher)
            self._publisher = None


def _learning(guarantees: Guarantees, policy: Policy) -> Guarantees:
    """For all weights that learning while driving may lead to."""
    region, spec = TrustRegion(policy.circuit, 0.0), policy.spec
    state = (each.double().numpy() for each in (region.state_low, region.state_high))
    constants = (each.double().numpy() * policy.tick for each in (region.fastest, region.slowest))
    return guarantees.within(Interval(*state), Interval(*constants), spec.low, spec.high)


def _monitor(folder: Path, policy: Policy, wish: str) -> AttentionMonitor | None:
    """Of a calibrated model, unless it is switched off."""
    if wish == "off":
        return None
    calibration = Calibration.load(folder, weights_hash(policy.head))
    if calibration is None and wish == "slow":
        raise InputError(
            f"{folder} has no calibration to slow down by; run `python "
            "benchmarks/attention_monitor.py calibrate`, or set attention_monitor to warn."
        )
    return None if calibration is None else AttentionMonitor(calibration)
