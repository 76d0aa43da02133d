"""The policy node's parameters: what each is for, its range, when it may change, what must fit.

docs/policy_node.md shows the same list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from liquid_control.camera import View
from liquid_control.camera.view import FLIPS, NO_HORIZON
from liquid_control.deploy.sessions import RUNTIMES
from liquid_control.errors import InputError
from liquid_control.ros import ackermann
from liquid_control.ros.parameters import Item
from liquid_control.ros.vehicle import Vehicle

if TYPE_CHECKING:
    from liquid_control.policy import Policy

__all__ = ["ITEMS", "unfit", "vehicle_of"]

# More pixels than any camera has.
_MOST = 32768.0
_ROI = "of the region of interest in the upright picture; up to 1 a share, above pixels"

ITEMS = (
    Item("model", "driving_ncp", "name or folder of the model", when="unconfigured"),
    Item("autostart", True, "configure and activate at start"),
    Item(
        "runtime",
        "torch",
        "that computes: torch; onnx (ONNX Runtime) or openvino, for a model that was exported",
        when="unconfigured",
        choices=("torch", *RUNTIMES),
    ),
    # Camera
    Item(
        "image_transport",
        "raw",
        "raw: frames come on `image`; compressed: on `image/compressed`",
        when="inactive",
        choices=("raw", "compressed"),
    ),
    Item(
        "undistort",
        False,
        "undo the lens by `camera_info`, before everything else",
        when="inactive",
    ),
    Item(
        "flip",
        "none",
        "of the picture; both: the camera hangs upside down",
        when="inactive",
        choices=tuple(FLIPS),
    ),
    Item("roi_top", 0.0, f"first row {_ROI}", 0.0, _MOST, when="inactive"),
    Item("roi_bottom", 1.0, f"end of the rows {_ROI}", 0.0, _MOST, when="inactive"),
    Item("roi_left", 0.0, f"first column {_ROI}", 0.0, _MOST, when="inactive"),
    Item("roi_right", 1.0, f"end of the columns {_ROI}", 0.0, _MOST, when="inactive"),
    Item(
        "horizon",
        NO_HORIZON,
        "row of the horizon in the upright picture, instead of roi_top and roi_bottom: rows are "
        "cut so that it lies where it did in training; up to 1 a share, above pixels; -1: not used",
        -1.0,
        _MOST,
        when="inactive",
    ),
    Item("frozen_frames", True, "stop when the camera is frozen while odom moves", when="always"),
    Item("black_frames", True, "stop when the camera's frames are black", when="always"),
    # Time
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
    Item(
        "max_frame_age",
        0.0,
        "older frames, by stamp and the node's clock, are left out [s]; 0: any age",
        0.0,
        60.0,
        when="always",
    ),
    # Vehicle
    Item(
        "speed_from",
        "auto",
        "auto: the model's speed where it gives one, else the parameter; model, fixed: as said",
        when="always",
        choices=("auto", "model", "fixed"),
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
    # Watch
    Item(
        "attention_monitor",
        "warn",
        "where the camera shows something unlike training: off, warn, or slow (drive slower)",
        when="unconfigured",
        choices=("off", "warn", "slow"),
    ),
    Item(
        "attention_monitor_every",
        8,
        "frames from one that the attention monitor looks at to the next",
        1,
        100,
        when="always",
    ),
    Item(
        "attention_slow",
        0.5,
        "share of the speed that is driven while the attention monitor's alarm lasts",
        0.0,
        1.0,
        when="always",
    ),
    # Output
    Item("stamped", True, "cmd_vel as TwistStamped; else Twist", when="unconfigured"),
    Item(
        "ackermann",
        False,
        "also AckermannDriveStamped on ackermann_cmd, PAST the safety node, which has "
        "ackermann_cmd_safe",
        when="unconfigured",
    ),
)


def vehicle_of(parameters: Mapping[str, Any]) -> Vehicle:
    """The vehicle that the parameters describe."""
    names = ("speed", "wheelbase", "max_wheel_angle")
    fixed = parameters["speed_from"] == "fixed"
    return Vehicle(**{name: parameters[name] for name in names}, fixed=fixed)


def unfit(parameters: Mapping[str, Any], policy: Policy | None = None) -> str:
    """What does not fit, in one sentence; "" where all does.

    Args:
        parameters: all of them.
        policy: that is to drive, once it is loaded.
    """
    try:
        view = View.of(parameters)
    except InputError as error:
        return str(error)
    if policy is None:
        return ""
    names, flies = policy.spec.names, Vehicle.flies(policy.spec)
    if view.horizon != NO_HORIZON and policy.camera.horizon is None:
        return (
            f"The model {parameters['model']} does not say at which row its training had the "
            "horizon (camera.horizon in its config.json), so horizon has nothing to match; use "
            "roi_top and roi_bottom."
        )
    if parameters["speed_from"] == "model" and "speed" not in names:
        return (
            f"The model {parameters['model']} gives {', '.join(names)} and no speed; set "
            "speed_from to fixed or auto, which take the parameter speed."
        )
    if parameters["speed_from"] == "fixed" and flies:
        return (
            f"The model {parameters['model']} flies: it gives a velocity, which no fixed speed "
            "can replace; set speed_from to auto."
        )
    if parameters["ackermann"] and (flies or ackermann.message_type() is None):
        return (
            "The parameter ackermann needs a model that drives and the ROS package "
            "ackermann_msgs; install it, or set ackermann to false."
        )
    return ""
