"""A real policy node learns from a scripted person, says every step of it, and forgets again."""

from __future__ import annotations

import json
import os
import signal
from itertools import pairwise
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

import liquid_control.envs  # noqa: F401  (registers the worlds)
from liquid_control import models
from liquid_control.cli import main
from liquid_control.data.updates import FORGOTTEN, LEARNT, SHIPPED, read, read_records
from liquid_control.errors import InputError
from liquid_control.policy import Decision, Policy, frame_hash, recompute
from liquid_control.policy.fingerprint import Hashes, weights_hash
from liquid_control.policy.updated import updated
from liquid_control.ros import conversion
from liquid_control.ros.runtime import COMMAND
from liquid_control.training.learned import save_learned

# Three processes load PyTorch, one after the other: 23 s on one core.
pytestmark = [pytest.mark.ros, pytest.mark.slow]

MODEL, SPEED, MORE = "driving_ncp", 4.0, 0.015  # 1/m, how much more to the left the person steers
LATE = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture(scope="module")
def road() -> list[np.ndarray]:
    """Frames of the expert's drive."""
    env = gymnasium.make("liquid_control/Driving-v1", season="summer", daytime="day").unwrapped
    frame, _ = env.reset(seed=7)
    frames = []
    for _ in range(40):
        frames.append(frame)
        frame, *_ = env.step(env.expert_action())
    env.close()
    return frames


def drive(camera, frames) -> np.ndarray:
    """Curvatures that answer frames, from a fresh state."""
    assert camera.probe.call(Trigger, "policy/reset", Trigger.Request()).success
    return np.array([camera.show(frame)["curvature"] for frame in frames])


def drive_by_hand(camera, frames, wanted) -> None:
    """Each frame a moment after the person's command."""
    out = camera.probe.out(TwistStamped, "intervention", COMMAND)
    for frame, curvature in zip(frames, wanted, strict=True):
        stamp = camera.stamp + 30_000_000
        out.publish(conversion.twist_stamped(SPEED, SPEED * curvature, stamp))
        camera.show(frame)


def check_decisions(camera, count: int, frames, policies: dict[str, Policy]) -> None:
    """The last decisions are those of the weights that they name."""
    for message, frame in zip(camera.decisions[-count:], frames, strict=True):
        hashes = Hashes.parse(message.header.frame_id)
        values = dict(zip(message.name, message.position, strict=True))
        policy = policies[hashes.weights]
        state = np.array([values[name] for name in policy.state_names], np.float32)
        told = np.array([values["curvature"]], np.float32)
        assert hashes.frame == frame_hash(policy.camera.apply(frame))
        decision = Decision(told, state, state, state, values["elapsed"], False, hashes.frame)
        assert recompute(policy, frame, decision) == pytest.approx(told, abs=1e-7)


def test_a_node_learns_from_a_person_says_so_and_forgets(
    probe, start, end, camera_of, road, tmp_path
):
    bag, learnt = tmp_path / "bag", tmp_path / "learnt"
    recorder = start("recorder", "-p", f"bag:={bag}")
    # The person corrects what they let pass before: own driving is not to be held on to.
    free = ["adapt_tolerance:=1.0", "adapt_anchor:=0.0"]
    options = ["adapt:=true", "adapt_every:=12", "adapt_rate:=0.003", *free, f"speed:={SPEED}"]
    more = [word for option in options for word in ("-p", option)]
    child = start("policy", "-p", f"model:={MODEL}", *more)
    said = probe.listen(JointState, "policy/updates", LATE)
    health = probe.listen(DiagnosticArray, "/diagnostics")
    camera = camera_of(probe)

    before = drive(camera, road)
    wanted = before + MORE
    shipped = Policy.load(models.find(MODEL))

    drive_by_hand(camera, road * 4, np.tile(wanted, 4))

    def learnt_enough() -> bool:
        # What was learnt comes into force between two frames.
        camera.show(road[0])
        return len(said) > 5

    probe.wait(learnt_enough, 60.0)
    after = drive(camera, road)
    assert np.abs(after - wanted).mean() < 0.6 * np.abs(before - wanted).mean()

    records = [read(message) for message in said]
    assert [each.kind for each in records] == [SHIPPED] + [LEARNT] * (len(records) - 1)
    assert records[0].after == weights_hash(shipped)
    for one, other in pairwise(records):
        assert other.before == one.after != other.after
        assert other.stamp >= one.stamp
        assert other.figures["loss_after"] < other.figures["loss_before"]
        assert 0 < other.figures["distance"] <= 1
        difference = other.weights.astype(float) - one.weights.astype(float)
        assert np.array_equal(other.change, difference)
    known = {each.after: updated(shipped, each.weights, each.after) for each in records}
    check_decisions(camera, len(road), road, known)

    def recorded() -> bool:
        # More may have been learnt since; the recorder hears it as this test does.
        return (bag / "bag_0.mcap").is_file() and bool(health)

    probe.wait(recorded)
    assert end(recorder, signal.SIGINT) == 0
    kept = read_records(bag)
    assert [each.after for each in kept[: len(records)]] == [each.after for each in records]
    assert main(["adapt", MODEL, "--from-updates", str(bag), "--output", str(learnt)]) == 0
    assert weights_hash(Policy.load(learnt)) == kept[-1].after
    assert json.loads((learnt / "adapt.json").read_text())["updates"] == len(kept) - 1
    with pytest.raises(InputError, match="give the model that drove"):
        save_learned(learnt, bag, tmp_path / "other")

    assert probe.call(Trigger, "policy/forget", Trigger.Request()).success
    probe.wait(lambda: read(said[-1]).kind == FORGOTTEN)
    assert np.array_equal(drive(camera, road), before)
    assert read(said[-1]).after == weights_hash(shipped)

    def told(key: str) -> str:
        values = [v for r in health for s in r.status for v in s.values if "policy" in s.name]
        return next((v.value for v in reversed(values) if v.key == key), "")

    probe.wait(lambda: told("trust_region_used") == "0.000")
    assert int(told("updates")) >= 5
    assert int(told("corrected_frames")) >= 160
    os.kill(learner_of(child.process.pid), signal.SIGKILL)

    def noticed() -> bool:
        camera.show(road[0])
        return any("learner has ended" in s.message for report in health for s in report.status)

    probe.wait(noticed)
    assert np.array_equal(drive(camera, road), before)
    assert end(child, signal.SIGINT) == 0
    assert "Traceback" not in child.log.read_text()


def learner_of(pid: int) -> int:
    """The process that a node learns in."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
