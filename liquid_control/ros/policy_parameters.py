"""The policy node's parameters: what each is for, its range, and when it may change.

docs/policy_node.md shows the same list.
"""

from __future__ import annotations

from liquid_control.ros.parameters import Item

__all__ = ["ITEMS"]

ITEMS = (
    Item("model", "driving_ncp", "name or folder of the model", when="unconfigured"),
    Item("autostart", True, "configure and activate at start"),
    Item(
        "image_transport",
        "raw",
        "raw: frames come on `image`; compressed: on `image/compressed`",
        when="inactive",
        choices=("raw", "compressed"),
    ),
    Item("stamped", True, "cmd_vel as TwistStamped; else Twist", when="unconfigured"),
    Item(
        "max_gap",
        0.2,
        "longer silence between frames resets the state [s]",
        0.01,
        10.0,
        when="always",
    ),
    Item(
        "nominal_period",
        1 / 30,
        "elapsed time of a first frame: the camera's period [s]",
        0.001,
        1.0,
        when="always",
    ),
    Item("speed", 5.0, "driven where the model gives no speed [m/s]", 0.0, 60.0, when="always"),
    Item("wheelbase", 2.7, "of the vehicle [m]", 0.01, 20.0, when="unconfigured"),
    Item(
        "max_wheel_angle",
        0.4,
        "front wheel angle at full lock, for models that steer [rad]",
        0.01,
        1.5,
        when="unconfigured",
    ),
    Item("frozen_frames", True, "stop when the camera is frozen while odom moves", when="always"),
    Item("black_frames", True, "stop when the camera's frames are black", when="always"),
)
