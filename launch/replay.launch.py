"""A policy sees what a human saw: `ros2 launch liquid_control replay.launch.py bag:=FOLDER`.

The recording may be any rosbag2 with a camera, or a Donkeycar tub. Nothing moves; the launch ends
with the recording. `liquid-control replay` starts the same nodes and compares both drivers.
"""

from __future__ import annotations

import os

from launch import LaunchDescription
from launch.action import Action

from liquid_control import models
from liquid_control.ros.launching import (
    CAMERA,
    CLOCK,
    SWITCH,
    Argument,
    Values,
    common,
    description,
    managed,
    node,
    number,
    policy_arguments,
    recording,
    run_folder,
)
from liquid_control.ros.replay_command import nominal_period, recorded

RUN = run_folder("replay")


def actions(value: Values) -> list[Action]:
    models.find(value["model"])
    bag = recorded(value["bag"], RUN)
    replay = {
        "bag": str(bag),
        "mode": value["mode"],
        "seconds": number(value, "seconds", float),
    }
    return [
        node(value, "replay", replay, remap=[CLOCK]),
        *managed(value, {"nominal_period": nominal_period(bag)}, remap=[*CAMERA, CLOCK]),
        *recording({**value, "bag": value["out"]}, remap=[CLOCK]),
    ]


def generate_launch_description() -> LaunchDescription:
    arguments = {
        "bag": Argument(None, "folder of the recording: a rosbag2, or a Donkeycar tub"),
        **policy_arguments("rc_track_ncp"),
        "seconds": Argument("0", "of the recording [s]; 0: all of it"),
        "mode": Argument(
            "lockstep",
            "lockstep, as fast as the policy decides; or realtime, the recording's own pace",
            ("realtime", "lockstep"),
        ),
        "record": Argument("false", "record the replay into the bag `out`", SWITCH),
        "out": Argument(os.path.join(RUN, "bag"), "folder of that bag, which must not exist yet"),
        **common(""),
    }
    return description(arguments, actions)
