"""A simulated drone behind its topics, and `liquid-control drone` with all its processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image, JointState

from liquid_control.data.bag import BagReader
from liquid_control.data.messages import read_named_vector, stamp_of
from liquid_control.ros import conversion
from liquid_control.ros.attitude import level
from liquid_control.ros.runtime import COMMAND, SENSOR

pytestmark = [pytest.mark.ros, pytest.mark.slow]

WORLD = "liquid_control/Drone-v0"


class Pilot:
    """Answers every frame with one velocity, stamped as the frame."""

    def __init__(
        self, probe, start, velocity, turn=0.0, *more: str, topic: str = "cmd_vel_safe"
    ) -> None:
        self.probe, self.velocity, self.turn = probe, velocity, turn
        self.out = probe.create_publisher(TwistStamped, topic, COMMAND)
        self.states: dict[int, dict[str, float]] = {}
        self.odometry = probe.listen(Odometry, "odom")
        self.targets = probe.listen(PoseStamped, "simulator/target")
        self.infos = probe.listen(CameraInfo, "camera/camera_info", SENSOR)
        probe.create_subscription(Image, "camera/image_raw", self.answer, SENSOR)
        probe.create_subscription(JointState, "simulator/state", self.note, 50)
        parameters = [f"world:={WORLD}", "mode:=lockstep", "seed:=7", *more]
        self.child = start("simulator", *(part for each in parameters for part in ("-p", each)))

    def answer(self, message: Image) -> None:
        speed, left, up = self.velocity
        stamp = stamp_of(message)
        self.out.publish(conversion.twist_stamped(speed, self.turn, stamp, left=left, up=up))

    def note(self, message: JointState) -> None:
        self.states[stamp_of(message)] = read_named_vector(message)

    def flown(self) -> list[dict[str, float]]:
        return [state for state in self.states.values() if not state["waiting"]]

    def wait(self, condition) -> None:
        self.probe.wait(lambda: condition() or self.child.code is not None, 60.0)
        assert self.child.code is None, self.child.last_words()


def test_a_drone_waits_then_flies_as_it_is_told_and_tells_where_it_is_in_three_dimensions(
    probe, start
):
    pilot = Pilot(probe, start, (1.5, 0.5, 0.4), 0.3, "options:=[season=winter]")
    pilot.wait(lambda: len(pilot.flown()) >= 60)
    waited = [state for state in pilot.states.values() if state["waiting"]]
    assert len({(state["x"], state["y"], state["z"]) for state in waited}) == 1
    last = pilot.flown()[-1]
    asked = [last[f"asked_{name}"] for name in ("vx", "vy", "vz", "yaw_rate")]
    assert asked == pytest.approx([1.5, 0.5, 0.4, 0.3])
    assert [last["vx"], last["vy"], last["vz"]] == pytest.approx([1.5, 0.5, 0.4], abs=0.1)
    assert last["z"] > waited[0]["z"] + 0.3
    poses = {stamp_of(message): message for message in pilot.odometry}
    common = sorted(poses.keys() & pilot.states.keys())
    assert len(common) > 30
    for stamp in common:
        state, odometry = pilot.states[stamp], poses[stamp]
        place, turn = odometry.pose.pose.position, odometry.pose.pose.orientation
        assert (place.x, place.y, place.z) == (state["x"], state["y"], state["z"])
        told = odometry.twist.twist.linear
        velocity = level((told.x, told.y, told.z), (turn.x, turn.y, turn.z, turn.w))
        assert velocity == pytest.approx((state["vx"], state["vy"], state["vz"]), abs=1e-9)
    pilot.wait(lambda: pilot.targets and pilot.infos)
    target = pilot.targets[-1].pose.position
    assert [target.x, target.y, target.z] == pytest.approx(
        [last["target_x"], last["target_y"], last["target_z"]]
    )
    assert (pilot.infos[-1].width, pilot.infos[-1].height) == (256, 144)
    assert "/simulator/road" not in dict(probe.get_topic_names_and_types())


def test_a_flight_into_the_ground_is_counted_and_the_next_flight_begins(probe, start):
    pilot = Pilot(probe, start, (0.0, 0.0, -2.0))
    pilot.wait(lambda: any(state["seed"] == 8 for state in pilot.states.values()))
    stamps = sorted(pilot.states)
    change = [pilot.states[stamp]["seed"] for stamp in stamps].index(8.0)
    before, after = pilot.states[stamps[change - 1]], pilot.states[stamps[change]]
    assert (before["crashed"], before["crashes"], after["crashes"]) == (1.0, 1.0, 1.0)
    assert (stamps[change] - stamps[change - 1]) * 1e-9 >= 1.0
    assert after["waiting"] == 1.0


def test_what_mavros_is_told_is_how_the_drone_moves_over_the_ground(probe, start):
    for node, *parameters in (
        ("safety", "vehicle:=drone", "use_sim_time:=true", "timeout:=1.0"),
        ("offboard", "target:=mavros", "timeout:=1.0", "pose_timeout:=1.0"),
    ):
        start(node, *(part for each in parameters for part in ("-p", each)))
    told = probe.listen(TwistStamped, "mavros/setpoint_velocity/cmd_vel")
    pilot = Pilot(probe, start, (1.5, 0.5, 0.2), 0.3, topic="cmd_vel")
    pilot.wait(lambda: len(pilot.flown()) >= 75 and len(pilot.odometry) >= 75)
    count = len(told)
    pilot.wait(lambda: len(told) > count)
    before, after = pilot.odometry[-3], pilot.odometry[-1]
    seconds = (stamp_of(after) - stamp_of(before)) * 1e-9
    moved = [
        (getattr(after.pose.pose.position, axis) - getattr(before.pose.pose.position, axis))
        / seconds
        for axis in "xyz"
    ]
    setpoint = told[-1].twist.linear
    assert [setpoint.x, setpoint.y, setpoint.z] == pytest.approx(moved, abs=0.3)
    assert np.hypot(*moved[:2]) == pytest.approx(np.hypot(1.5, 0.5), abs=0.2)


@pytest.mark.timeout(300)
def test_a_policy_flies_to_its_target_through_all_the_nodes(tmp_path, survivors):
    command = ["drone", "--seconds", "8", "--mode", "lockstep", "--option", "season=spring"]
    done = subprocess.run(
        [sys.executable, "-m", "liquid_control", *command, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert survivors() == []
    (run,) = tmp_path.glob("*-drone")
    results = json.loads((run / "results.json").read_text())
    assert results["ok"]
    assert (results["crashes"], results["facts"]["Options"]) == (0, "season=spring")
    assert results["targets_reached"] >= 1
    assert results["flights"] == results["targets_reached"] + 1
    with BagReader(run / "bag") as bag:
        bag.require("/simulator/target", "/odom", "/policy/decision", "/cmd_vel_safe")
        told = np.array(
            [
                [m.twist.linear.x, m.twist.linear.y, m.twist.linear.z, m.twist.angular.z]
                for _, _, m in bag.messages(["/cmd_vel_safe"])
            ]
        )
    assert np.isfinite(told).all()
    assert np.abs(told).max(axis=0)[1:].min() > 0.0
    assert np.hypot(told[:, 0], told[:, 1]).max() <= 4.0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--model", "no_such_model"], "no_such_model"),
        (["--option", "season=april"], "april"),
        (["--world", "liquid_control/CarRacing-v0"], "gas"),
    ],
)
def test_wrong_input_is_said_in_one_line_before_anything_starts(tmp_path, arguments, word):
    given = [sys.executable, "-m", "liquid_control", "drone", *arguments]
    out = ["--out", str(tmp_path / "runs")]
    done = subprocess.run([*given, *out], capture_output=True, text=True, timeout=100)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert word in done.stderr
    assert not (tmp_path / "runs").exists()
