"""Which of several publishers of a topic that the vehicle drives by is listened to.

Two policies, or two cameras, on one topic would take turns with the vehicle. The first one is
obeyed for as long as it publishes; the others are refused, and that is said. Where rclpy does not
tell who published a message (before Kilted), nobody is obeyed while there is more than one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rclpy.node import Node

__all__ = ["OnePublisher"]


class OnePublisher:
    """Judges the messages of one topic by who published them.

    Args:
        node: that subscribes the topic.
        topic: its name.
        silence: of the publisher that is obeyed, after which another may take over [s].
    """

    def __init__(self, node: Node, topic: str, silence: float) -> None:
        self._node, self._topic, self._silence = node, topic, silence
        self._others: set[bytes] = set()
        self._crowd = 0
        self.forget()

    def forget(self) -> None:
        """Whoever publishes next is the first."""
        self._obeyed: bytes | None = None
        self._heard = -math.inf

    def admits(self, info: Mapping[str, Any], now: float) -> bool:
        """Whether a message may be obeyed.

        Args:
            info: of the message, as rclpy gives it.
            now: steady clock [s].
        """
        publisher = _identity(info)
        if publisher is None:
            # Unlike other calls, this one does not follow remappings by itself.
            number = self._node.count_publishers(self._node.resolve_topic_name(self._topic))
            self._crowd = number if number > 1 else 0
            return number <= 1
        if now - self._heard > self._silence or publisher == self._obeyed:
            return True
        self._others.add(publisher)
        return False

    def obeyed(self, info: Mapping[str, Any], now: float) -> None:
        """The message was obeyed: its publisher is the one from now on."""
        self._obeyed, self._heard = _identity(info), now

    def report(self) -> str:
        """Whose messages were refused since the last report, in one sentence; else ""."""
        others, self._others = self._others, set()
        crowd, self._crowd = self._crowd, 0
        if others:
            return (
                f"{self._topic} has several publishers: {self._name(self._obeyed)} is obeyed, "
                f"{', '.join(sorted(map(self._name, others)))} refused; let only one publish"
            )
        if crowd:
            return f"{self._topic} has {crowd} publishers: none is obeyed; let only one publish"
        return ""

    def _name(self, identity: bytes | None) -> str:
        for one in self._node.get_publishers_info_by_topic(self._topic):
            gid = bytes(one.endpoint_gid)
            if identity is not None and identity.startswith(gid[: len(identity)]):
                return f"{one.node_namespace.rstrip('/')}/{one.node_name}"
        return "one that has left"


def _identity(info: Mapping[str, Any]) -> bytes | None:
    gid = info.get("publisher_gid")
    return bytes(gid["data"]) if gid else None
