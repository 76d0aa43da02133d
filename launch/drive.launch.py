"""A policy drives a simulated car: `ros2 launch liquid_control drive.launch.py`.

`--show-args` lists the arguments. The launch ends when one of the nodes does.
"""

from __future__ import annotations

import os
from datetime import datetime

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable, Shutdown
from launch.conditions import IfCondition
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue


def end_together(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """End the launch with its first node; once, because launch_ros fails on a second shutdown."""
    if context.is_shutdown:
        return None
    return Shutdown(reason=f"{event.process_name} has ended")


def joystick_driver(value: dict[str, LaunchConfiguration]) -> list[Node]:
    """ROS 2's own driver of a joystick, where it is installed; it publishes `joy`."""
    try:
        get_package_share_directory("joy")
    except PackageNotFoundError:
        return []
    return [
        Node(
            package="joy",
            executable="joy_node",
            name="joy",
            namespace=value["namespace"],
            condition=IfCondition(value["teleop"]),
        )
    ]


def generate_launch_description() -> LaunchDescription:
    share = get_package_share_directory("liquid_control")
    run = os.path.join("runs", f"{datetime.now():%Y-%m-%d-%H%M%S}-drive")
    arguments = {
        "model": ("driving_ncp", "name of a shipped model, or the folder of one"),
        "world": ("liquid_control/Driving-v0", "Gymnasium id of the world"),
        "seed": ("7", "of the road"),
        "mode": ("realtime", "realtime, or lockstep: the world waits for each frame's command"),
        "params_file": (os.path.join(share, "config", "drive.yaml"), "parameters of the nodes"),
        "namespace": ("", "of all nodes and their topics"),
        "use_sim_time": ("true", "policy and safety follow the simulator's clock"),
        "record": ("false", "record the drive into a bag"),
        "bag": (os.path.join(run, "bag"), "folder of the bag, which must not exist yet"),
        "discovery": ("LOCALHOST", "LOCALHOST, or SUBNET to be seen by other machines"),
        "log_level": ("info", "debug, info, warn, error or fatal"),
        "autostart": ("true", "the policy configures and activates itself"),
        "teleop": ("false", "a person may take the car with a joystick (package joy)"),
    }
    value = {name: LaunchConfiguration(name) for name in arguments}
    clock = {"use_sim_time": ParameterValue(value["use_sim_time"], value_type=bool)}
    text = {
        name: ParameterValue(value[name], value_type=str)
        for name in ("model", "world", "mode", "bag")
    }
    shared = {
        "package": "liquid_control",
        "namespace": value["namespace"],
        "output": "screen",
        "ros_arguments": ["--log-level", value["log_level"]],
        "on_exit": end_together,
        # /tf under a namespace would mix the trees of several cars.
        "remappings": [("/tf", "tf"), ("/tf_static", "tf_static")],
    }
    policy = {"autostart": ParameterValue(value["autostart"], value_type=bool)}
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in arguments.items()
            ),
            SetEnvironmentVariable("ROS_AUTOMATIC_DISCOVERY_RANGE", value["discovery"]),
            SetEnvironmentVariable("OMP_NUM_THREADS", "1"),
            Node(
                executable="safety",
                name="safety",
                parameters=[value["params_file"], clock],
                **shared,
            ),
            LifecycleNode(
                executable="policy",
                name="policy",
                parameters=[value["params_file"], clock, policy, {"model": text["model"]}],
                **{**shared, "remappings": [("image", "camera/image_raw")]},
            ),
            Node(
                executable="simulator",
                name="simulator",
                parameters=[
                    value["params_file"],
                    {
                        "world": text["world"],
                        "seed": ParameterValue(value["seed"], value_type=int),
                        "mode": text["mode"],
                    },
                ],
                **shared,
            ),
            Node(
                executable="recorder",
                name="recorder",
                parameters=[{"bag": text["bag"]}],
                condition=IfCondition(value["record"]),
                **shared,
            ),
            Node(
                executable="teleop",
                name="teleop",
                parameters=[value["params_file"], clock, {"input": "joystick"}],
                condition=IfCondition(value["teleop"]),
                **shared,
            ),
            *joystick_driver(value),
        ]
    )
