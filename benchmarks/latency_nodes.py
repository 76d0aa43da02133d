"""The small nodes that `benchmarks/latency.py` compares the policy node with.

    python -m latency_nodes echo | head | observer --ros-args -r image:=...

`echo` answers every frame with a command that carries its stamp and does nothing else; `head`
prepares the frame as the policy does and runs the vision head before it answers; `observer` listens
to all that the policy node publishes of a decision, and drops it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from geometry_msgs.msg import TwistStamped
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from liquid_control import models
from liquid_control.ros import conversion
from liquid_control.ros.parameters import declare
from liquid_control.ros.runtime import COMMAND, NEWEST, SENSOR, Stop, leave, run

__all__ = ["Echo", "Head", "Observer"]


class Echo(Node):
    """Subscribes `image`, publishes `cmd_vel`, both as the policy node does."""

    def __init__(self, stop: Stop, name: str = "echo") -> None:
        super().__init__(name)
        self._out = self.create_publisher(TwistStamped, "cmd_vel", COMMAND)
        self.create_subscription(Image, "image", self._on_image, NEWEST)

    def _on_image(self, message: Image, info: Mapping[str, int]) -> None:
        stamp = conversion.nanoseconds(message.header.stamp)
        self._out.publish(conversion.twist_stamped(1.0, self.turn(message), stamp))

    def turn(self, message: Image) -> float:
        return 0.0


class Head(Echo):
    """An echo that prepares the frame and runs the vision head of the parameter `model` first."""

    def __init__(self, stop: Stop) -> None:
        import torch

        from liquid_control.policy import Policy

        torch.set_num_threads(1)
        super().__init__(stop, "head")
        self._policy = Policy.load(models.find(declare(self, "model", "driving_ncp", "its head")))
        camera = self._policy.camera
        self._pixels = torch.zeros((1, camera.height, camera.width, 3), dtype=torch.uint8)
        with torch.inference_mode():
            self._policy.head(self._pixels)

    def turn(self, message: Image) -> float:
        import torch

        frame = self._policy.camera.apply(conversion.decode_image(message))
        np.copyto(self._pixels[0].numpy(), frame)
        with torch.inference_mode():
            features = self._policy.head(self._pixels)
        # Never more than a trifle, but it has to be there before the command can be.
        return float(features[0, 0]) * 1e-9


class Observer(Node):
    """Listens to the attention, neurons and decisions of `policy`."""

    def __init__(self, stop: Stop) -> None:
        super().__init__("observer")
        self.create_subscription(Image, "policy/attention", self._drop, SENSOR)
        for topic in ("policy/neurons", "policy/decision"):
            self.create_subscription(JointState, topic, self._drop, 15)

    def _drop(self, message: Image | JointState) -> None:
        """Heard, which is all that it is for."""


def main() -> int:
    folder = Path(__file__).stem
    roles = {"echo": Echo, "head": Head, "observer": Observer}
    if len(sys.argv) < 2 or sys.argv[1] not in roles:
        raise SystemExit(f"python -m {folder} {' | '.join(roles)}")
    return run(roles[sys.argv.pop(1)])


if __name__ == "__main__":
    leave(main())
