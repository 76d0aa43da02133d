"""The recorder alone: `ros2 launch liquid_control record.launch.py topics:="odom cmd_vel"`.

It ends with Ctrl-C; a bag whose recorder was killed opens all the same.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.action import Action

from liquid_control.ros.launching import (
    Argument,
    Values,
    common,
    description,
    node,
    recording_arguments,
    sim_time,
)


def actions(value: Values) -> list[Action]:
    chosen = {"topics": topics} if (topics := value["topics"].split()) else {}
    settings = {"bag": value["bag"], "compression": value["compression"]}
    return [node(value, "recorder", sim_time(value), settings, chosen)]


def generate_launch_description() -> LaunchDescription:
    arguments = {
        "topics": Argument("", "names with spaces between; empty: all that a report is made from"),
        "bag": recording_arguments("record")["bag"],
        "compression": Argument("zstd", "of the bag", ("zstd", "lz4", "none")),
        **common("drive.yaml", simulated=False),
    }
    return description(arguments, actions)
