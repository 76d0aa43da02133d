"""A policy flies a simulated quadrotor: `ros2 launch liquid_control drone.launch.py`.

With `target:=` mavros, px4 or crazyflie its commands go to an autopilot as well, in that one's
frame and message; `simulator:=false` then leaves the camera and the odometry to it. Nothing here
arms a vehicle or takes off. `liquid-control drone` starts the same nodes.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.action import Action
from launch.substitutions import LaunchConfiguration

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

# Where autopilots publish their pose (geometry_msgs/PoseStamped); px4 has a message of its own.
POSES = {"mavros": "mavros/local_position/pose"}


def actions(value: Values) -> list[Action]:
    simulated = value["simulator"] == "true"
    # A simulator of the autopilot's own keeps one clock for the whole graph.
    clock = [CLOCK] if simulated else []
    nodes = [
        node(value, "safety", sim_time(value), patience(value["mode"]), remap=clock),
        *managed(value, remap=[*CAMERA, *clock]),
    ]
    if simulated:
        nodes.append(node(value, "simulator", world(value), remap=clock))
    if (target := value["target"]) != "none":
        pose = [("pose", value["pose"] or POSES.get(target, "pose"))]
        nodes.append(
            node(value, "offboard", sim_time(value), {"target": target}, remap=[*clock, *pose])
        )
    nodes += [*recording(value, remap=clock), *joystick(value, remap=clock)]
    return [*nodes, *live_page(value)]


def generate_launch_description() -> LaunchDescription:
    arguments = {
        **policy_arguments("drone_ncp"),
        **world_arguments("liquid_control/Drone-v0"),
        "simulator": Argument("true", "fly the simulated world", SWITCH),
        "target": Argument(
            "none", "autopilot that gets the commands, too", ("none", "mavros", "px4", "crazyflie")
        ),
        "pose": Argument("", "topic of that autopilot's pose; empty: the one that it usually has"),
        "teleop": Argument("false", "a person may take the drone with a joystick", SWITCH),
        **recording_arguments("drone"),
        **view_arguments(),
        **common("fly.yaml"),
    }
    arguments["use_sim_time"] = Argument(
        LaunchConfiguration("simulator"), "the nodes follow the simulator's clock", SWITCH
    )
    return description(arguments, actions)
