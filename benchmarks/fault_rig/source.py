"""Camera and odometry of a vehicle, 30 times a second; topic `fault` says what is wrong with them.

The vehicle is at once as fast as `cmd_vel_safe` says. When the first message that is wrong has been
published, its wall time [ns] is said on `fault/began`.

    python -m fault_rig.source --ros-args -p compressed:=true
"""

from __future__ import annotations

import time
from array import array

import numpy as np
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from liquid_control.ros import conversion
from liquid_control.ros.parameters import declare
from liquid_control.ros.runtime import COMMAND, LATCHED, SENSOR, Stop, every, leave, run

SECOND = 1_000_000_000
# The stamps of these faults, against the right ones [ns].
SHIFTS = {"past": -60 * SECOND, "future": 60 * SECOND, "set_back": -SECOND}
ROWS, COLUMNS = 78, 200


class Source(Node):
    """Publishes `image` (or `image/compressed`) and `odom`."""

    def __init__(self, stop: Stop) -> None:
        super().__init__("source")
        self._compressed = declare(self, "compressed", False, "JPEG instead of raw frames")
        rate = declare(self, "rate", 30.0, "frames per second", 1.0, 100.0)
        kind, topic = (
            (CompressedImage, "image/compressed") if self._compressed else (Image, "image")
        )
        self._image_out = self.create_publisher(kind, topic, SENSOR)
        self._odometry_out = self.create_publisher(Odometry, "odom", SENSOR)
        self._began_out = self.create_publisher(String, "fault/began", LATCHED)
        self._fault = self._new = ""
        self._number, self._speed, self._way = 0, 0.0, 0.0
        noise = np.random.default_rng(0)
        self._texture = noise.integers(40, 216, (ROWS, COLUMNS, 3), np.uint8)
        self.create_subscription(String, "fault", self._on_fault, COMMAND)
        self.create_subscription(TwistStamped, "cmd_vel_safe", self._on_command, COMMAND)
        self._period = 1.0 / rate
        every(self, self._period, self._tick)

    def _on_fault(self, message: String) -> None:
        self._fault = self._new = message.data

    def _on_command(self, message: TwistStamped) -> None:
        self._speed = message.twist.linear.x

    def _tick(self) -> None:
        fault, now = self._fault, time.time_ns()
        stamp = now + SHIFTS.get(fault, 0)
        if fault == "jumping" and self._number % 2:
            stamp -= SECOND // 5
        if fault != "frozen":
            self._number += 1
        self._way += self._speed * self._period
        odometry = Odometry(header=conversion.header(now, "odom"), child_frame_id="base_link")
        odometry.pose.pose.position.x = self._way
        odometry.twist.twist = conversion.twist(self._speed, 0.0)
        self._odometry_out.publish(odometry)
        began = time.time_ns()
        for _ in range({"silent": 0, "flood": round(1000 * self._period)}.get(fault, 1)):
            self._number += fault == "flood"
            self._image_out.publish(self._message(fault, stamp))
        if self._new:
            self._new = ""
            self._began_out.publish(String(data=f"{fault} {began}"))

    def _message(self, fault: str, stamp: int) -> Image | CompressedImage:
        pixels = np.roll(self._texture, 3 * self._number, axis=1)
        if fault == "black":
            pixels = np.zeros_like(pixels)
        elif fault == "other_size":
            pixels = np.repeat(np.repeat(pixels, 2, axis=0), 3, axis=1)
        if self._compressed:
            message = conversion.jpeg_image(pixels, stamp, "camera")
            if fault == "truncated":
                message.data = array("B", bytes(message.data)[: len(message.data) // 2])
            elif fault == "rubbish":
                message.data = array("B", bytes(range(256)) * 8)
            return message
        message = conversion.image(pixels, stamp, "camera")
        if fault == "truncated":
            message.data = message.data[: len(message.data) // 2]
        elif fault == "wrong_step":
            message.step = COLUMNS
        return message


def main(arguments: list[str] | None = None) -> int:
    return run(Source, arguments)


if __name__ == "__main__":
    leave(main())
