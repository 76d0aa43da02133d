"""A policy's memory is damaged while it drives: it stops, says why, and waits for a person."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from std_msgs.msg import String
from std_srvs.srv import Trigger

from liquid_control.policy import Policy
from liquid_control.ros import processes

from .damaged_policy import NEURON, SYNAPSE

pytestmark = pytest.mark.ros

MS = 1_000_000
FRAME = np.random.default_rng(1).integers(0, 256, (78, 200, 3), np.uint8)


@pytest.fixture
def damaged(tmp_path, model):
    """A policy node with a `damage` topic."""
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parent))
    arguments = ["--ros-args", "-p", f"model:={model}", "-p", "speed:=4.0"]
    child = processes.start("policy", "damaged_policy", arguments, environment, tmp_path)
    yield child
    child.process.kill()
    child.process.wait()


class Road:
    """A camera 33 ms after the other, and what the policy answers."""

    def __init__(self, probe) -> None:
        self.probe, self.stamp = probe, 1_000 * MS
        self.commands = probe.listen(TwistStamped, "cmd_vel")
        self.said = probe.listen(DiagnosticArray, "/diagnostics")

    def until(self, condition: Callable[[], object]) -> None:
        def shown() -> bool:
            self.stamp += 33 * MS
            self.probe.send_frame(FRAME, self.stamp)
            return bool(condition())

        self.probe.wait(shown, 40.0)

    def status(self) -> tuple[bytes, str, dict[str, str]]:
        """The newest that the policy says of itself."""
        found = [each for each in self.said if each.status[0].name == "policy"]
        if not found:
            return b"", "", {}
        status = found[-1].status[0]
        return status.level, status.message, {each.key: each.value for each in status.values}

    def drives(self) -> None:
        self.commands.clear()
        self.until(lambda: self.commands and self.commands[-1].twist.linear.x == 4.0)

    def damage(self, what: str) -> None:
        self.probe.out(String, "damage", 10).publish(String(data=what))

    def stops(self, *words: str) -> None:
        """The last of a number of commands is a stop, and so are those that follow."""
        self.until(lambda: self.commands and self.commands[-1].twist.linear.x == 0.0)
        self.commands.clear()
        self.said.clear()
        self.until(lambda: len(self.commands) > 10 and self.status()[0] == DiagnosticStatus.ERROR)
        assert {each.twist.linear.x for each in self.commands} == {0.0}
        assert {each.twist.angular.z for each in self.commands} == {0.0}
        text = self.status()[1]
        assert all(word in text for word in words), text

    def reset(self) -> None:
        assert self.probe.call(Trigger, "policy/reset", Trigger.Request()).success


def test_a_neuron_outside_of_its_bounds_stops_the_vehicle_until_a_person_resets(
    probe, damaged, model
):
    road = Road(probe)
    road.drives()
    road.until(lambda: float(road.status()[2].get("largest_state_share", 0)) > 0)
    before = road.status()[2]
    assert before["violations"] == "0"
    assert float(before["largest_state_share"]) < 1.0
    assert before["largest_state_neuron"] in Policy.load(model).state_names
    name = Policy.load(model).state_names[NEURON]

    road.damage("state")
    road.stops(f"state before of {name} is 3, outside its bounds -", "until ~/reset")
    road.until(lambda: int(road.status()[2].get("refused_violation", 0)) > 10)
    # One decision was outside; the frames after it were not decided on.
    assert road.status()[2]["violations"] == "1"

    road.reset()
    road.drives()
    road.said.clear()
    road.until(lambda: road.status()[0] == DiagnosticStatus.OK)
    assert damaged.code is None, damaged.last_words()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["weight", "nan"])
def test_a_damaged_weight_stops_the_vehicle_again_until_it_is_mended(probe, damaged, model, kind):
    policy = Policy.load(model)
    name = policy.state_names[policy.circuit.recurrent.pairs[1][SYNAPSE]]
    road = Road(probe)
    road.drives()
    road.damage(kind)
    # A NaN spreads to all neurons that hear of it within one step.
    road.stops("state of " + (name if kind == "weight" else ""), "until ~/reset")
    road.reset()
    road.stops("state of ")
    road.damage("mend")
    road.reset()
    road.drives()
