"""What the live page shows, from the topics of a vehicle; heard only while somebody looks."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, String

from liquid_control.command import curvature_from_yaw_rate
from liquid_control.data.messages import read_named_vector
from liquid_control.errors import InputError
from liquid_control.ros.conversion import decode_image, nanoseconds
from liquid_control.ros.runtime import COMMAND, LATCHED, NEWEST

__all__ = ["CAMERA", "OVERLAY", "VECTORS", "Feed"]

OVERLAY = "policy/attention/overlay/compressed"
CAMERA = "camera/image_raw"
VECTORS = {
    "policy/decision": "decision",
    "policy/neurons": "neurons",
    "policy/latency": "latency",
    "policy/watch": "watch",
    "expert/command": "expert",
    "simulator/expert": "expert",
    "simulator/state": "state",
    "safety/state": "safety",
}
_DEPTH = 15
# A person's or an expert's command that is older has nothing to do with this frame [s].
_RECENT = 0.3
# Larger pictures are scaled down: a page shows no more [px].
_WIDEST = 960
_QUALITY = 85
_JPEG = b"\xff\xd8\xff"
# Of the simulator's state, what a page shows.
_STATE = ("speed", "lateral_error", "target_distance", "crashes", "successes", "seed", "waiting")


class Feed:
    """Subscribes what is looked at, and says it as JSON and JPEG.

    Args:
        node: to subscribe with; its namespace is the vehicle's.
        camera: topic of the camera; empty: what the policy says that it sees.
        put: takes the newest of a kind and its content.
        point: takes a moment of the plots.
        picture: takes a stream, a JPEG and when its message came [s, monotonic].
        ready: says whether anybody waits for a picture of a stream.
        model: called with a model's folder and the hash of its weights when the policy has said
            what it drives with.
    """

    def __init__(
        self,
        node: Node,
        camera: str,
        put: Callable[[str, Any], None],
        point: Callable[[Any], None],
        picture: Callable[[str, bytes, float], None],
        ready: Callable[[str], bool],
        model: Callable[[str, str], None],
    ) -> None:
        self._node, self._camera = node, camera
        self._put, self._point, self._picture = put, point, picture
        self._ready, self._model = ready, model
        self._heard: list[Subscription] = []
        self._streams: dict[str, tuple[str, Subscription]] = {}
        self._wanted: frozenset[str] = frozenset()
        self._forget()

    def _forget(self) -> None:
        self._facts: Mapping[str, Any] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._asked: dict[str, tuple[float, Mapping[str, float | None]]] = {}
        self._last: dict[str, float] = {}
        self._statuses: dict[str, tuple[float, dict[str, Any]]] = {}

    def watch(self, viewers: int, streams: frozenset[str]) -> None:
        """Listen to what so many viewers see; to nothing without one."""
        if viewers and not self._heard:
            self._begin()
        elif not viewers and self._heard:
            for subscription in self._heard:
                self._node.destroy_subscription(subscription)
            self._heard.clear()
            self._forget()
        self._wanted = streams
        self._look()

    def _begin(self) -> None:
        for topic, kind in VECTORS.items():
            self._listen(JointState, topic, getattr(self, f"_on_{kind}"), _DEPTH)
        self._listen(TwistStamped, "intervention", self._on_person, COMMAND)
        self._listen(String, "policy/facts", self._on_facts, LATCHED)
        self._listen(Bool, "safety/emergency_stopped", self._on_stopped, LATCHED)
        self._listen(DiagnosticArray, "/diagnostics", self._on_diagnostics, 30)

    def _listen(self, kind: type, topic: str, callback: Callable[[Any], None], qos: Any) -> None:
        self._heard.append(self._node.create_subscription(kind, topic, callback, qos))

    # Pictures

    def _look(self) -> None:
        """Listen to the pictures that are shown, under the names that they have by now."""
        for stream in ("attention", "camera"):
            topic, kind = self._source(stream) if stream in self._wanted else ("", Image)
            now, subscription = self._streams.get(stream, ("", None))
            if topic == now:
                continue
            if subscription is not None:
                self._node.destroy_subscription(subscription)
                del self._streams[stream]
            if topic:

                def hear(message: Image | CompressedImage, stream: str = stream) -> None:
                    self._on_picture(stream, message)

                found = self._node.create_subscription(kind, topic, hear, NEWEST)
                self._streams[stream] = topic, found

    def _source(self, stream: str) -> tuple[str, type]:
        if stream == "attention":
            return self._node.resolve_topic_name(OVERLAY), CompressedImage
        topic = self._node.resolve_topic_name(self._camera or self._facts.get("image") or CAMERA)
        # Compressed ones first: large raw frames get lost on their way without shared memory.
        for name in (f"{topic}/compressed", topic):
            for publisher in self._node.get_publishers_info_by_topic(name):
                if publisher.topic_type == "sensor_msgs/msg/CompressedImage":
                    return name, CompressedImage
                if publisher.topic_type == "sensor_msgs/msg/Image":
                    return name, Image
        return topic, Image

    def _on_picture(self, stream: str, message: Image | CompressedImage) -> None:
        arrived = self._last[stream] = time.monotonic()
        if not self._ready(stream):
            return
        data = getattr(message, "data", b"")
        colour = "bayer" not in getattr(message, "format", "bayer")
        if not (colour and data[:3].tobytes() == _JPEG):
            try:
                data = _jpeg(message)
            except InputError as error:
                self._put("trouble", str(error))
                return
        self._picture(stream, bytes(data), arrived)

    # Vectors

    def _on_decision(self, message: JointState) -> None:
        self._last["decision"] = now = time.monotonic()
        values = read_named_vector(message)
        names = list(values)
        outputs = names[names.index("reset") + 1 :] if "reset" in names else []
        self._name("outputs", outputs)
        asked = {
            who: _numbers(command.get(name) for name in outputs)
            for who, (heard, command) in self._asked.items()
            if now - heard < _RECENT
        }
        stamp = nanoseconds(message.header.stamp) * 1e-9
        command = _numbers(values[name] for name in outputs)
        self._point({"t": round(stamp, 4), "policy": command, **asked})

    def _on_neurons(self, message: JointState) -> None:
        self._name("neurons", message.name)
        states, constants = _numbers(message.position), _numbers(message.velocity)
        self._put("neural", {"state": states, "time_constant": constants})

    def _name(self, kind: str, names: Iterable[str]) -> None:
        names = tuple(names)
        if self._names.get(kind) != names:
            self._names[kind] = names
            self._put(kind, names)

    def _on_latency(self, message: JointState) -> None:
        values = read_named_vector(message)
        ages = _numbers((values.get("age"), values.get("inference")))
        self._point({"age": ages[0], "inference": ages[1]})

    def _on_watch(self, message: JointState) -> None:
        self._put("watch", dict(zip(message.name, _numbers(message.position), strict=True)))

    def _on_expert(self, message: JointState) -> None:
        self._asked["expert"] = time.monotonic(), read_named_vector(message)

    def _on_person(self, message: TwistStamped) -> None:
        asked = message.twist
        forward, turn = asked.linear.x, asked.angular.z
        velocity = {"vx": forward, "vy": asked.linear.y, "vz": asked.linear.z}
        self._asked["person"] = time.monotonic(), _driven(forward, turn) | velocity

    def _on_safety(self, message: JointState) -> None:
        self._last["safety"] = now = time.monotonic()
        values = read_named_vector(message)
        told = {name: value for name, value in values.items() if name != "driver"}
        self._asked["vehicle"] = now, _driven(told.get("speed", 0), told.get("yaw_rate", 0)) | told
        numbers = dict(zip(told, _numbers(told.values()), strict=True))
        self._put("safety", {"driver": message.header.frame_id, **numbers})

    def _on_state(self, message: JointState) -> None:
        values = read_named_vector(message)
        shown = [name for name in _STATE if name in values]
        numbers = _numbers(values[name] for name in shown)
        self._put("state", dict(zip(shown, numbers, strict=True)))

    # The rest

    def _on_stopped(self, message: Bool) -> None:
        self._put("stopped", message.data)

    def _on_facts(self, message: String) -> None:
        try:
            facts = json.loads(message.data)
        except ValueError:
            return
        if isinstance(facts, dict):
            self._facts = facts
            self._model(str(facts.get("model", "")), str(facts.get("weights", "")))
            self._look()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        space, news = self._node.get_namespace().strip("/"), False
        for status in message.status:
            # `/diagnostics` is shared by the vehicles of a graph.
            if space and not status.name.startswith(f"{space}/"):
                continue
            said = {
                "name": status.name.removeprefix(f"{space}/"),
                "level": status.level[0],
                "message": status.message,
                "values": {item.key: item.value for item in status.values},
            }
            _, before = self._statuses.get(status.name, (0.0, {}))
            news |= any(said[key] != before.get(key) for key in ("level", "message"))
            self._statuses[status.name] = time.monotonic(), said
        # Figures alone can wait for the next tick: a robot may have hundreds of them.
        if news:
            self._say_statuses()

    def _say_statuses(self) -> None:
        now = time.monotonic()
        self._put(
            "diagnostics",
            [
                {**status, "age": round(now - at, 1)}
                for _, (at, status) in sorted(self._statuses.items())
            ],
        )

    def tick(self) -> None:
        """Once a second: say what is missing, and look for a camera that came late."""
        if not self._heard:
            return
        self._look()
        self._say_statuses()
        now = time.monotonic()
        wanted = {"decision": "policy/decision", "safety": "safety/state"}
        named = {kind: self._node.resolve_topic_name(topic) for kind, topic in wanted.items()}
        named |= {stream: topic for stream, (topic, _) in self._streams.items()}
        self._put(
            "topics",
            [
                {
                    "kind": kind,
                    "topic": topic,
                    "publishers": self._node.count_publishers(topic),
                    "silent": round(now - self._last[kind], 1) if kind in self._last else None,
                }
                for kind, topic in named.items()
            ],
        )


def _driven(speed: float, yaw_rate: float) -> dict[str, float | None]:
    """Commands by name; the path of a vehicle that stands is not known."""
    curvature = curvature_from_yaw_rate(yaw_rate, speed) if abs(speed) >= 0.1 else None
    return {"speed": speed, "yaw_rate": yaw_rate, "curvature": curvature}


def _numbers(values: Iterable[float | None]) -> list[float | None]:
    """As JSON takes them: six digits, and null for what is no number."""
    return [
        float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
        for value in values
    ]


def _jpeg(message: Image | CompressedImage) -> bytes:
    """Raises InputError for a message that is no picture."""
    pixels = decode_image(message)
    if pixels.shape[1] > _WIDEST:
        height = round(pixels.shape[0] * _WIDEST / pixels.shape[1])
        pixels = cv2.resize(pixels, (_WIDEST, height), interpolation=cv2.INTER_AREA)
    pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    ok, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not ok:
        raise InputError(f"A picture of shape {pixels.shape} cannot be compressed.")
    return data.tobytes()
