"""A policy's memory is damaged while it drives: it stops, says why, and waits for a person."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from liquid_control.attention.monitor import Calibration, Limits, describe
from liquid_control.data import messages
from liquid_control.data.messages import stamp_of
from liquid_control.errors import InputError
from liquid_control.evaluation.audit import audit_bag
from liquid_control.policy import Driver, Policy
from liquid_control.policy.fingerprint import weights_hash
from liquid_control.ros import processes
from liquid_control.ros.watch import DecisionWatch

from .damaged_policy import NEURON, SYNAPSE
from .test_audit_run import drive, rewrite

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
    processes.stop(child)


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
    # By what is noticed first, its effect or its hash; a NaN spreads to many neurons in one step.
    road.stops("The ")
    text = road.status()[1]
    assert "hash" in text or (name if kind == "weight" else "state of ") in text
    road.reset()
    road.stops("The weights in memory have the hash")
    road.damage("mend")
    road.reset()
    road.drives()


@pytest.mark.slow
def test_a_single_bit_of_the_head_that_changed_stops_the_vehicle_for_good(probe, damaged):
    road = Road(probe)
    road.drives()
    road.damage("bit")
    road.stops("The weights in memory have the hash")
    road.reset()
    road.stops("The weights in memory have the hash")
    road.damage("mend")
    road.reset()
    road.drives()


@pytest.fixture
def wary(tmp_path, model) -> Path:
    """The model, with a calibration for which nothing is ordinary."""
    folder = tmp_path / "wary"
    shutil.copytree(model, folder)
    policy = Policy.load(folder)
    driver = Driver(policy)
    driver.step(FRAME, 1 / 30)
    numbers = len(describe(driver.attention(), driver.activity()))
    limits = Limits(drift=1e-3, drift_clear=5e-4, similarity=-1.0, similarity_clear=-1.0)
    mean, whitening = np.zeros(numbers), np.eye(numbers)
    Calibration(weights_hash(policy.head), mean, whitening, limits).save(folder)
    return folder


@pytest.mark.slow
def test_an_unknown_view_slows_the_vehicle_down_and_says_by_how_much(probe, start, wary):
    road = Road(probe)
    told = probe.listen(JointState, "policy/watch")
    arguments = ("speed:=4.0", "attention_monitor:=slow", "attention_slow:=0.25")
    parameters = (f"model:={wary}", "attention_monitor_every:=2", *arguments)
    child = start("policy", *(part for each in parameters for part in ("-p", each)))
    # Whether the first second, at full speed, is heard depends on how soon the topics are found.
    road.until(lambda: told and road.commands and road.commands[-1].twist.linear.x == 1.0)
    road.said.clear()
    road.until(lambda: road.status()[0] == DiagnosticStatus.WARN)
    assert "unlike what the model was trained on" in road.status()[1]
    figures = road.status()[2]
    assert {"attention_similarity", "attention_drift"} <= figures.keys()
    assert float(figures["speed_share"]) == 0.25
    assert float(figures["attention_drift"]) > 1e-3
    # Every slower command has its share on `~/watch`, with the stamp of its frame.
    road.commands.clear()
    road.until(lambda: len(road.commands) > 5)
    wanted = {stamp_of(each) for each in road.commands[:5]}
    road.until(lambda: wanted <= {stamp_of(each) for each in told})
    for each in told:
        if stamp_of(each) in wanted:
            assert dict(zip(each.name, each.position, strict=True))["speed_share"] == 0.25
    assert child.code is None, child.last_words()


@pytest.mark.slow
def test_a_slowed_drive_passes_the_audit_until_a_share_is_changed(wary, tmp_path):
    parameters = tmp_path / "slow.yaml"
    parameters.write_text(
        "/**:\n  ros__parameters:\n    attention_monitor: slow\n    attention_slow: 0.25\n"
    )
    lockstep = ("--seconds", "4", "--mode", "lockstep", "--params", str(parameters))
    bag = drive(wary, tmp_path / "runs", *lockstep) / "bag"
    result = audit_bag(bag)
    assert result.ok, result.sentence
    shares = list(result.record.speed_shares.values())
    assert set(shares) == {1.0, 0.25}
    assert result.findings.compared["published"] > 0.8 * len(result.record.decisions)

    def change(topic: str, number: int, cdr: bytes) -> bytes:
        if topic != "/policy/watch" or number != len(shares) - 20:
            return cdr
        message = messages.deserialize("sensor_msgs/msg/JointState", cdr)
        message.position = message.position.copy()
        message.position[3] = 1.0
        return bytes(messages.serialize(message))

    changed = audit_bag(rewrite(bag, tmp_path / "changed", change))
    assert not changed.ok
    assert {each.check for each in changed.findings.differences} == {"published"}
    assert len(changed.findings.differences) == 1


def test_nothing_slows_down_by_a_calibration_that_is_not_there_or_of_other_weights(model, wary):
    driver = Driver(Policy.load(model))
    with pytest.raises(InputError, match="has no calibration to slow down by"):
        DecisionWatch(None, model, driver, {"attention_monitor": "slow"}, str, learns=False)
    next(driver.policy.head.parameters()).data += 1e-3
    with pytest.raises(InputError, match="was calibrated for a head with the hash"):
        DecisionWatch(None, wary, driver, {"attention_monitor": "warn"}, str, learns=False)
