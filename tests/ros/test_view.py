"""The live page over real nodes: it hears nothing while nobody looks, and shows what they say."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("aiohttp")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from liquid_control.cli import main
from liquid_control.data.bag import BagReader
from liquid_control.errors import InputError
from liquid_control.ros import conversion
from liquid_control.ros.runtime import COMMAND, LATCHED, SENSOR
from liquid_control.ros.view import view
from liquid_control.ros.view_feed import CAMERA, OVERLAY, VECTORS

from .live_page import PATIENCE, Viewer, url_of

pytestmark = pytest.mark.ros

MS = 1_000_000
SMALL = np.random.default_rng(3).integers(0, 256, (78, 200, 3), np.uint8)


@pytest.fixture(scope="module")
def page(start_shared) -> str:
    """The address of a page that the tests of this file share."""
    return url_of(start_shared("view", "-p", "port:=0"))


@pytest.fixture
def look() -> Iterator[Callable[..., Viewer]]:
    viewers: list[Viewer] = []

    def open_page(url: str, draws: bool = True) -> Viewer:
        viewers.append(Viewer(url, draws))
        return viewers[-1]

    yield open_page
    for viewer in viewers:
        viewer.close()


def listeners(probe, topics=(*VECTORS, OVERLAY, CAMERA, "/diagnostics")) -> dict[str, int]:
    return {topic: probe.count_subscribers(topic) for topic in topics}


class Vehicle:
    """Says what a policy, a safety node and a camera would, with stamps 33 ms apart."""

    def __init__(self, probe, outputs: dict[str, float], told: dict[str, float]) -> None:
        self.probe, self.outputs, self.told = probe, outputs, told
        self.stamp = 1_000 * MS
        self.names = [f"inter_{number}" for number in range(12)]
        self.names += [f"command_{number}" for number in range(6)]
        self.names += [f"motor_{number}" for number in range(len(outputs))]
        for topic in ("policy/decision", "policy/neurons", "policy/latency", "safety/state"):
            probe.out(JointState, topic, 15, listeners=0)
        ok, jpeg = cv2.imencode(".jpg", SMALL)
        assert ok
        self.jpeg = jpeg.tobytes()

    def say(self) -> None:
        out, self.stamp = self.probe.out, self.stamp + 33 * MS
        vector = conversion.named_vector
        decision = dict.fromkeys(self.names, 0.1) | {"number": 0.0, "elapsed": 0.033, "reset": 0.0}
        decision |= self.outputs
        out(JointState, "policy/decision", 15, 0).publish(
            vector(list(decision), list(decision.values()), self.stamp)
        )
        states = np.linspace(-1, 1, len(self.names))
        out(JointState, "policy/neurons", 15, 0).publish(
            vector(self.names, states, self.stamp, velocity=np.full(len(states), 0.25))
        )
        ages = vector(("age", "inference"), (0.005, 0.003), self.stamp)
        out(JointState, "policy/latency", 15, 0).publish(ages)
        told = {"driver": 1.0, **self.told}
        out(JointState, "safety/state", 15, 0).publish(
            vector(list(told), list(told.values()), self.stamp, "policy")
        )
        picture = CompressedImage(format="rgb8; jpeg compressed bgr8", data=self.jpeg)
        out(CompressedImage, OVERLAY, SENSOR, 0).publish(picture)
        out(Image, CAMERA, SENSOR, 0).publish(conversion.image(SMALL, self.stamp, "camera"))
        self.probe._executor.spin_once(timeout_sec=0.005)


CAR = {"curvature": 0.02}, {"speed": 8.0, "yaw_rate": 0.12, "acceleration": 0.0}
DRONE = (
    {"vx": 2.0, "vy": 0.1, "vz": -0.2, "yaw_rate": 0.3},
    {"speed": 2.0, "yaw_rate": 0.25, "acceleration": 0.0, "vx": 1.9, "vy": 0.1, "vz": -0.2},
)


def test_nothing_is_heard_while_nobody_looks(probe, page, look):
    probe.wait(lambda: probe.count_publishers("emergency_stop"))
    assert not any(listeners(probe).values())
    viewer = look(page)
    vectors = [topic for topic in listeners(probe) if topic not in (OVERLAY, CAMERA)]
    probe.wait(lambda: all(listeners(probe, vectors).values()))
    assert not any(listeners(probe, [OVERLAY, CAMERA]).values())
    viewer.say({"show": "attention"})
    probe.wait(lambda: probe.count_subscribers(OVERLAY))
    assert not probe.count_subscribers(CAMERA)
    viewer.say({"show": "camera"})
    probe.wait(lambda: probe.count_subscribers(CAMERA) and not probe.count_subscribers(OVERLAY))
    # A page behind another tab.
    viewer.say({"show": None})
    probe.wait(lambda: not probe.count_subscribers(CAMERA))
    viewer.say({"show": "camera"})
    probe.wait(lambda: probe.count_subscribers(CAMERA))
    viewer.close()
    probe.wait(lambda: not any(listeners(probe).values()))


@pytest.mark.parametrize(("outputs", "told"), [CAR, DRONE], ids=["car", "drone"])
def test_a_viewer_sees_what_the_nodes_say(probe, page, look, outputs, told):
    vehicle, viewer = Vehicle(probe, outputs, told), look(page)
    viewer.say({"show": "attention"})
    expert = probe.out(JointState, "expert/command", 15, 0)
    person = probe.out(TwistStamped, "intervention", COMMAND, 0)
    wanted = {name: value + 0.01 for name, value in outputs.items()}

    def busy() -> None:
        vehicle.say()
        expert.publish(conversion.named_vector(list(wanted), list(wanted.values()), vehicle.stamp))
        person.publish(conversion.twist_stamped(4.0, 0.2, vehicle.stamp, left=0.3, up=0.4))

    def complete() -> bool:
        last = next((point for point in reversed(viewer.points) if "policy" in point), {})
        found = {"neural", "neurons", "outputs", "safety", "about"} <= set(viewer.newest)
        return found and {"policy", "expert", "person", "vehicle"} <= set(last)

    viewer.wait(complete, busy)
    viewer.wait(lambda: len(viewer.pictures) > 3, busy)
    # The policy's own JPEG, which nobody has to make a second time.
    assert viewer.pictures[-1] == vehicle.jpeg
    assert viewer.newest["outputs"] == list(outputs)
    assert viewer.newest["neurons"] == vehicle.names
    assert viewer.newest["safety"]["driver"] == "policy"
    assert set(viewer.newest["neural"]["time_constant"]) == {0.25}
    last = [point for point in viewer.points if "person" in point and "expert" in point][-1]
    assert last["policy"] == pytest.approx(list(outputs.values()), rel=1e-4)
    assert last["expert"] == pytest.approx(list(wanted.values()), rel=1e-4)
    hand = {"curvature": 0.05, "vx": 4.0, "vy": 0.3, "vz": 0.4, "yaw_rate": 0.2}
    assert last["person"] == pytest.approx([hand[name] for name in outputs])
    passed = told | {"curvature": 0.015}
    assert last["vehicle"] == pytest.approx([passed[name] for name in outputs])
    viewer.say({"show": "camera"})
    viewer.wait(lambda: viewer.newest.get("picture") == "camera", busy)
    shape = cv2.imdecode(np.frombuffer(viewer.pictures[-1], np.uint8), cv2.IMREAD_COLOR).shape
    assert shape == SMALL.shape


def test_a_viewer_that_draws_nothing_holds_up_nobody(probe, page, look):
    vehicle, slow, quick = Vehicle(probe, *CAR), look(page, draws=False), look(page)
    for viewer in (slow, quick):
        viewer.say({"show": "attention"})
    quick.wait(lambda: len(quick.pictures) > 40, vehicle.say)
    while (heard := slow.updates, slow.hear(0.1)) and slow.updates > heard:
        pass
    assert slow.updates <= 2


def test_the_page_says_where_it_looks_and_what_is_missing(probe, page, look):
    viewer = look(page)
    viewer.wait(lambda: "topics" in viewer.newest and "about" in viewer.newest)
    missing = {each["topic"] for each in viewer.newest["topics"] if not each["publishers"]}
    assert missing == {"/policy/decision", "/safety/state"}
    assert viewer.newest["about"]["namespace"] == "/"
    assert viewer.newest["reach"] == {"stop": False, "record": False, "viewers": 1}
    viewer.say({"ask": "stop"})
    viewer.wait(lambda: "answer" in viewer.newest)
    assert viewer.newest.pop("answer") == {
        "wish": "stop",
        "success": False,
        "text": "No safety node hears the stop.",
    }
    viewer.say({"ask": "record"})
    viewer.wait(lambda: "answer" in viewer.newest)
    assert not viewer.newest["answer"]["success"]


def test_numbers_that_are_none_are_not_shown_as_any(probe, page, look):
    vehicle = Vehicle(probe, {"curvature": float("nan")}, CAR[1])
    viewer = look(page)
    viewer.wait(lambda: any("policy" in point for point in viewer.points), vehicle.say)
    assert viewer.points[-1].get("policy", [None]) == [None]
    # What is published of a damaged policy must not end the node.
    facts = probe.out(String, "policy/facts", LATCHED)
    facts.publish(String(data="{"))
    facts.publish(String(data="[1]"))
    status = DiagnosticStatus(level=DiagnosticStatus.ERROR, name="policy", message="no frames")
    diagnostics = probe.out(DiagnosticArray, "/diagnostics", 10)

    def busy() -> None:
        diagnostics.publish(DiagnosticArray(status=[status]))

    viewer.wait(lambda: viewer.newest.get("diagnostics"), busy)
    (found,) = viewer.newest["diagnostics"]
    assert (found["level"], found["message"]) == (2, "no frames")


def test_the_stop_is_the_safety_nodes_and_only_its_service_releases_it(probe, page, start, look):
    start("safety")
    viewer = look(page)
    stopped = probe.listen(Bool, "safety/emergency_stopped", LATCHED)
    viewer.wait(lambda: viewer.newest.get("reach", {}).get("stop"))
    viewer.wait(lambda: viewer.newest.get("stopped") is False)
    viewer.say({"ask": "stop"})
    viewer.wait(lambda: viewer.newest["stopped"] and viewer.newest["answer"]["success"])
    viewer.wait(lambda: viewer.newest["safety"]["driver"] == "emergency stop")
    probe.wait(lambda: stopped[-1].data)

    def released() -> bool:
        return probe.call(Trigger, "safety/release", Trigger.Request()).success

    probe.wait(released)
    viewer.wait(lambda: viewer.newest["stopped"] is False)


@pytest.mark.slow
@pytest.mark.parametrize("address", ["not an address", "192.0.2.1"])
def test_an_address_that_is_not_this_machines_is_refused_in_one_sentence(start, address):
    child = start("view", "-p", f"host:='{address}'", "-p", "port:=0")
    assert child.process.wait(PATIENCE) == 2
    assert "--host" in child.last_words()


@pytest.mark.parametrize("wrong", [{"port": 70000}, {"port": -1}, {"domain": 400}])
def test_the_command_refuses_numbers_out_of_range(wrong):
    with pytest.raises(InputError, match=f"--{next(iter(wrong))}"):
        view(**wrong)


def test_without_ros_the_command_says_what_lacks(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rclpy", None)
    for name in [name for name in sys.modules if name.startswith("liquid_control.ros.")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["view"]) == 2
    assert "'rclpy'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_recording_is_ended_and_begun_from_the_page(probe, page, start, look, end, tmp_path):
    vehicle = Vehicle(probe, *CAR)
    recorder = start("recorder", "-p", f"bag:={tmp_path / 'bag'}", "-p", "at_once:=false")
    viewer = look(page)
    viewer.say({"show": "attention"})

    def values() -> dict[str, str]:
        nodes = viewer.newest.get("diagnostics", [])
        return next((node["values"] for node in nodes if node["name"] == "recorder"), {})

    viewer.wait(lambda: values().get("recording") == "False", vehicle.say)
    viewer.wait(lambda: viewer.newest["reach"]["record"], vehicle.say)
    assert not (tmp_path / "bag").exists()
    assert not probe.count_subscribers("odom")
    for folder in ("bag", "bag-2"):
        viewer.say({"ask": "record"})
        viewer.wait(lambda: values()["recording"] == "True", vehicle.say)
        viewer.wait(lambda: int(values().get("/policy/decision", 0)) > 10, vehicle.say)
        viewer.say({"ask": "finish"})
        viewer.wait(lambda: values()["recording"] == "False", vehicle.say)
        # Finished, not only flushed.
        with BagReader(tmp_path / folder) as bag:
            assert not bag.recovered
            assert bag.topics["/policy/decision"][1] > 10
    assert end(recorder, signal.SIGINT) == 0
    assert sorted(path.name for path in tmp_path.glob("bag*")) == ["bag", "bag-2"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_node_ends_cleanly_while_pages_are_open(probe, start, end, look, number):
    child = start("view", "-p", "port:=0")
    first, second = look(url_of(child)), look(url_of(child))
    second.say({"show": "attention"})
    probe.wait(lambda: probe.count_subscribers(OVERLAY))
    assert first.newest == {}
    assert end(child, number, number) == 0
    assert "Traceback" not in child.log.read_text()


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from live_page import Viewer
viewer = Viewer(sys.argv[2])
viewer.say({"show": "attention"})
viewer.wait(lambda: False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_viewer_that_dies_or_hangs_costs_nothing_any_more(probe, page, number):
    folder = str(Path(__file__).parent)
    viewer = subprocess.Popen([sys.executable, "-c", KILLED, folder, page])
    try:
        probe.wait(lambda: probe.count_subscribers(OVERLAY))
        viewer.send_signal(number)
        probe.wait(lambda: not any(listeners(probe).values()))
    finally:
        viewer.kill()
        viewer.wait()
