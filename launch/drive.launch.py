"""A policy drives a simulated car: `ros2 launch liquid_control drive.launch.py`.

`--show-args` lists the arguments. The launch ends when one of the nodes does. `liquid-control
drive` starts the same nodes with the same parameters without ROS 2's tools.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.action import Action

from liquid_control.ros.drive import patience
from liquid_control.ros.launching import (
    CAMERA,
    CLOCK,
    SWITCH,
    Argument,
    Values,
    common,
    description,
    joystick,
    live_page,
    managed,
    node,
    policy_arguments,
    recording,
    recording_arguments,
    sim_time,
    view_arguments,
    world,
    world_arguments,
)


def actions(value: Values) -> list[Action]:
    return [
        node(value, "safety", sim_time(value), patience(value["mode"]), remap=[CLOCK]),
        *managed(value, remap=[*CAMERA, CLOCK]),
        node(value, "simulator", world(value), remap=[CLOCK]),
        *recording(value, remap=[CLOCK]),
        *joystick(value, remap=[CLOCK]),
        *live_page(value),
    ]


def generate_launch_description() -> LaunchDescription:
    arguments = {
        **policy_arguments("driving_ncp"),
        **world_arguments("liquid_control/Driving-v1", seed="5"),
        **recording_arguments("drive"),
        **view_arguments(),
        "teleop": Argument("false", "a person may take the car with a joystick", SWITCH),
        **common("drive.yaml"),
    }
    return description(arguments, actions)
