"""The simulated car behind its topics: it waits, drives, leaves the road and starts again."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState

from liquid_control.data.messages import read_named_vector, stamp_of
from liquid_control.ros import conversion
from liquid_control.ros.runtime import COMMAND, LATCHED, SENSOR

pytestmark = pytest.mark.ros

PERIOD = 1 / 30


class Pilot:
    """Answers every frame with one command, stamped as the frame."""

    def __init__(self, probe, speed: float, curvature: float) -> None:
        self.out = probe.create_publisher(TwistStamped, "cmd_vel_safe", COMMAND)
        self.speed, self.curvature = speed, curvature
        self.states: dict[int, dict[str, float]] = {}
        self.frames: dict[int, Image] = {}
        self.subscriptions = [
            probe.create_subscription(Image, "camera/image_raw", self.answer, SENSOR),
            probe.create_subscription(JointState, "simulator/state", self.note, 50),
        ]

    def answer(self, message: Image) -> None:
        stamp = stamp_of(message)
        self.frames[stamp] = message
        self.out.publish(conversion.twist_stamped(self.speed, self.speed * self.curvature, stamp))

    def note(self, message: JointState) -> None:
        self.states[stamp_of(message)] = read_named_vector(message)

    def driven(self, name: str = "distance") -> list[float]:
        return [state[name] for state in self.states.values() if not state["waiting"]]


def drive(probe, start, steps: int, speed=8.0, curvature=0.0, mode="lockstep", seed=3) -> Pilot:
    pilot = Pilot(probe, speed, curvature)
    parameters = [f"mode:={mode}", f"seed:={seed}", "world:=liquid_control/Driving-v0"]
    child = start("simulator", *(part for each in parameters for part in ("-p", each)))
    probe.wait(lambda: len(pilot.driven()) >= steps or child.code is not None, 40.0)
    assert child.code is None, child.last_words()
    pilot.child = child
    return pilot


def test_in_lockstep_the_same_commands_give_the_same_drive(probe, start, end):
    drives = []
    for _ in range(2):
        pilot = drive(probe, start, 25)
        drives.append([pilot.driven(name)[:25] for name in ("x", "y", "yaw", "speed", "time")])
        for subscription in pilot.subscriptions:
            probe.destroy_subscription(subscription)
        probe.destroy_publisher(pilot.out)
        assert end(pilot.child, signal.SIGINT) == 0
    assert np.array_equal(drives[0], drives[1])
    times = drives[0][-1]
    assert np.diff(times) == pytest.approx(PERIOD)


def test_everything_about_a_moment_carries_its_stamp(probe, start):
    odometry = probe.listen(Odometry, "odom")
    infos = probe.listen(CameraInfo, "camera/camera_info", SENSOR)
    clock = probe.listen(Clock, "/clock")
    roads = [probe.listen(PathMessage, f"simulator/road{side}", LATCHED) for side in ("", "/left")]
    pilot = drive(probe, start, 10)
    poses = {stamp_of(message): message for message in odometry}
    common = sorted(poses.keys() & pilot.states.keys() & pilot.frames.keys())
    assert len(common) >= 5
    for stamp in common:
        state, pose = pilot.states[stamp], poses[stamp]
        assert pose.pose.pose.position.x == state["x"]
        assert pose.twist.twist.linear.x == state["speed"]
        assert conversion.decode_image(pilot.frames[stamp]).shape == (78, 200, 3)
    assert set(common) <= {conversion.nanoseconds(message.clock) for message in clock}
    assert {stamp_of(message) for message in infos} & set(common)
    probe.wait(lambda: all(roads))
    lane, left = (
        np.array([[p.pose.position.x, p.pose.position.y] for p in road[0].poses]) for road in roads
    )
    # The paved road ends 4.1 m + half a lane to the left of the lane's middle.
    assert np.linalg.norm(lane - left, axis=1) == pytest.approx(4.1 + 1.75, abs=1e-6)


def test_a_car_that_nobody_drives_waits_while_its_clock_runs(probe, start):
    clock = probe.listen(Clock, "/clock")
    states = probe.listen(JointState, "simulator/state")
    start("simulator", "-p", "mode:=realtime")
    probe.wait(lambda: len(states) > 20 and len(clock) > 20, 40.0)
    places = [read_named_vector(message) for message in states]
    assert {place["distance"] for place in places} == {places[0]["distance"]}
    times = [conversion.nanoseconds(message.clock) for message in clock]
    assert np.all(np.diff(times) > 0)


def test_a_car_that_leaves_the_road_is_counted_and_starts_on_the_next_road(probe, start):
    pilot = drive(probe, start, 5, speed=12.0, curvature=0.06)
    probe.wait(lambda: any(state["crashes"] == 1 for state in pilot.states.values()), 40.0)
    probe.wait(lambda: any(state["seed"] == 4 for state in pilot.states.values()))
    stamps = sorted(pilot.states)
    seeds = [pilot.states[stamp]["seed"] for stamp in stamps]
    change = seeds.index(4.0)
    assert pilot.states[stamps[change - 1]]["off_road"] == 1.0
    # A second of pause resets whoever watches; the new road begins at its beginning.
    assert (stamps[change] - stamps[change - 1]) * 1e-9 >= 1.0
    assert pilot.states[stamps[change]]["distance"] == pytest.approx(0.0, abs=0.5)
