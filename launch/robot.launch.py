"""A policy drives a real vehicle: `ros2 launch liquid_control robot.launch.py model:=FOLDER`.

The policy hears a camera, the safety node alone talks to the vehicle. With wheels off the ground
first. `camera:=` starts a driver that is installed; without it the camera's driver already runs.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.action import Action
from launch_ros.actions import Node

from liquid_control.ros.launching import (
    SWITCH,
    Argument,
    Values,
    common,
    description,
    joystick,
    live_page,
    managed,
    node,
    number,
    policy_arguments,
    recording,
    recording_arguments,
    require,
    sim_time,
    view_arguments,
)

DRIVERS = {
    "usb_cam": "usb_cam_node_exe",
    "v4l2_camera": "v4l2_camera_node",
    "camera_ros": "camera_node",
}


def camera(value: Values) -> list[Action]:
    """The driver chosen, which publishes camera/image_raw and camera/camera_info."""
    driver = value["camera"]
    if driver == "none":
        return []
    require(driver, "give camera:=none and start the camera yourself")
    width, height, device = number(value, "width"), number(value, "height"), value["device"]
    rate, frame = number(value, "rate", float), "camera_optical_frame"
    parameters = {
        "usb_cam": {
            "video_device": device,
            "image_width": width,
            "image_height": height,
            "framerate": rate,
            "frame_id": frame,
        },
        "v4l2_camera": {
            "video_device": device,
            "image_size": [width, height],
            "time_per_frame": [1, round(rate)],
            "camera_frame_id": frame,
        },
        "camera_ros": {
            "width": width,
            "height": height,
            "frame_id": frame,
            "FrameDurationLimits": [round(1e6 / rate)] * 2,
        },
    }
    # camera_ros publishes below its own name, the others below their namespace.
    space = value["namespace"]
    inner = space if driver == "camera_ros" else f"{space}/camera".lstrip("/")
    return [
        Node(
            package=driver,
            executable=DRIVERS[driver],
            name="camera",
            namespace=inner,
            parameters=[parameters[driver], sim_time(value)],
            output="screen",
        )
    ]


def actions(value: Values) -> list[Action]:
    stamped = {"stamped": value["stamped"] == "true"} if value["stamped"] else {}
    seen = {"image_transport": value["image_transport"]} if value["image_transport"] else {}
    sight = [
        ("image", value["image"]),
        ("image/compressed", value["image"] + "/compressed"),
        ("camera_info", value["camera_info"]),
    ]
    moves = [("odom", value["odom"])]
    told = [("cmd_vel_safe", value["vehicle"])]
    return [
        node(value, "safety", sim_time(value), stamped, remap=[*moves, *told]),
        *managed(value, {**seen, **stamped}, remap=[*sight, *moves]),
        *camera(value),
        *recording(
            value, remap=[(f"camera/{name}", topic) for name, topic in pairs(sight)] + moves + told
        ),
        *joystick(value, remap=[("joy", value["joy"])]),
        *live_page(value),
    ]


def pairs(sight: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """How the recorder names what the policy sees, and where that comes from."""
    image, compressed, info = (topic for _, topic in sight)
    return [("image_raw", image), ("image_raw/compressed", compressed), ("camera_info", info)]


def generate_launch_description() -> LaunchDescription:
    arguments = {
        **policy_arguments("rc_track_ncp"),
        "image": Argument("camera/image_raw", "topic of the camera (sensor_msgs/Image)"),
        "image_transport": Argument(
            "",
            "raw, or compressed: listen to <image>/compressed; empty: as params_file says",
            ("", "raw", "compressed"),
        ),
        "camera_info": Argument("camera/camera_info", "topic of the camera's calibration"),
        "odom": Argument("odom", "topic of the vehicle's odometry, of use but not needed"),
        "vehicle": Argument("cmd_vel_safe", "topic that the vehicle's own driver listens to"),
        "stamped": Argument(
            "",
            "the vehicle hears TwistStamped; false: Twist; empty: as params_file says",
            ("", *SWITCH),
        ),
        "camera": Argument("none", "driver of a camera to start, too", ("none", *DRIVERS)),
        "device": Argument("/dev/video0", "of that camera (usb_cam, v4l2_camera)"),
        "width": Argument("640", "of that camera's frames [pixels]"),
        "height": Argument("480", "of that camera's frames [pixels]"),
        "rate": Argument("30", "of that camera [Hz]"),
        "teleop": Argument("false", "a person may take the vehicle with a joystick", SWITCH),
        "joy": Argument("joy", "topic of the joystick (sensor_msgs/Joy)"),
        **recording_arguments("robot"),
        **view_arguments(),
        **common("robot.yaml", simulated=False),
    }
    return description(arguments, actions)
