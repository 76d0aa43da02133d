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
    managed,
    node,
    number,
    policy_arguments,
    recording,
    recording_arguments,
    sim_time,
)


def actions(value: Values) -> list[Action]:
    simulated = value["simulator"] == "true"
    # A simulator of the autopilot's own keeps one clock for the whole graph.
    clock = [CLOCK] if simulated else []
    world = {"world": value["world"], "seed": number(value, "seed"), "mode": value["mode"]}
    nodes = [
        node(value, "safety", sim_time(value), patience(value["mode"]), remap=clock),
        *managed(value, remap=[*CAMERA, *clock]),
    ]
    if simulated:
        nodes.append(node(value, "simulator", world, remap=clock))
    if value["target"] != "none":
        nodes.append(
            node(value, "offboard", sim_time(value), {"target": value["target"]}, remap=clock)
        )
    return [*nodes, *recording(value, remap=clock), *joystick(value, remap=clock)]


def generate_launch_description() -> LaunchDescription:
    arguments = {
        **policy_arguments("drone_ncp"),
        "world": Argument("liquid_control/Drone-v0", "Gymnasium id of the world"),
        "seed": Argument("7", "of the scene, a whole number"),
        "mode": Argument(
            "realtime",
            "realtime, or lockstep: the world waits for each frame's command",
            ("realtime", "lockstep"),
        ),
        "simulator": Argument("true", "fly the simulated world", SWITCH),
        "target": Argument(
            "none", "autopilot that gets the commands, too", ("none", "mavros", "px4", "crazyflie")
        ),
        "teleop": Argument("false", "a person may take the drone with a joystick", SWITCH),
        **recording_arguments("drone"),
        **common("fly.yaml"),
    }
    arguments["use_sim_time"] = Argument(
        LaunchConfiguration("simulator"), "the nodes follow the simulator's clock", SWITCH
    )
    return description(arguments, actions)
