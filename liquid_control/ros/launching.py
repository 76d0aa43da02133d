"""What the launch files share: arguments that explain themselves, and nodes that end together.

A launch file is a table of arguments and one function from their values to actions; `description`
makes a launch description of the two. Only standard actions of launch and launch_ros are used, so
Jazzy and Kilted run the same files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.events import matches_action
from launch.events.process import ProcessExited
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from liquid_control.errors import InputError
from liquid_control.ros import transport

__all__ = [
    "CAMERA",
    "CLOCK",
    "SWITCH",
    "Argument",
    "Values",
    "common",
    "description",
    "joystick",
    "live_page",
    "managed",
    "node",
    "number",
    "policy_arguments",
    "recording",
    "recording_arguments",
    "require",
    "run_folder",
    "sim_time",
    "view_arguments",
    "world",
    "world_arguments",
]

SWITCH = ("true", "false")
# A vehicle that brings its own clock keeps it in its namespace: two of them would pull at one.
CLOCK = ("/clock", "clock")
# What the policy calls its camera, and where cameras publish.
CAMERA = (
    ("image", "camera/image_raw"),
    ("image/compressed", "camera/image_raw/compressed"),
    ("camera_info", "camera/camera_info"),
)
# Under a namespace, the transforms of several vehicles stay apart.
_TRANSFORMS = (("/tf", "tf"), ("/tf_static", "tf_static"))

Values = Mapping[str, str]
Remaps = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Argument:
    """An argument of a launch file; without a default it must be given."""

    default: SomeSubstitutionsType | None
    text: str
    choices: tuple[str, ...] | None = None


def common(parameters: str, simulated: bool = True) -> dict[str, Argument]:
    """The arguments of every launch file; `parameters` is a file of the folder config, or none."""
    share = get_package_share_directory("liquid_control")
    file = os.path.join(share, "config", parameters) if parameters else ""
    # Who has opened discovery for a whole shell has said so already.
    discovery = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE") or "LOCALHOST"
    levels = ("debug", "info", "warn", "error", "fatal")
    clock = "the simulator's or the recording's clock instead of the machine's"
    return {
        "params_file": Argument(file, "YAML file with the nodes' parameters; empty: none"),
        "namespace": Argument("", "of all nodes and their topics; car1 keeps two cars apart"),
        "use_sim_time": Argument(str(simulated).lower(), f"the nodes follow {clock}", SWITCH),
        "discovery": Argument(
            discovery,
            "who may find the nodes: LOCALHOST, this machine alone; SUBNET, the network, too",
            ("LOCALHOST", "SUBNET", "SYSTEM_DEFAULT", "OFF"),
        ),
        "log_level": Argument("info", "least severe messages that the nodes print", levels),
    }


def policy_arguments(model: str) -> dict[str, Argument]:
    """The arguments of launch files with a policy."""
    return {
        "model": Argument(model, "name of a shipped model, or the folder of one"),
        "autostart": Argument(
            "true",
            "the launch configures and activates the policy; false: a lifecycle manager or `ros2 "
            "lifecycle set` does; node: it does so itself, the launch joins no graph (SROS2)",
            (*SWITCH, "node"),
        ),
    }


def world_arguments(world: str, seed: str = "7") -> dict[str, Argument]:
    """The arguments of launch files with a simulator."""
    return {
        "world": Argument(world, "Gymnasium id of the world"),
        "seed": Argument(seed, "of the first episode, a whole number"),
        "options": Argument("", "of the world, NAME=VALUE with spaces between (season=winter)"),
        "mode": Argument(
            "realtime",
            "realtime, or lockstep: the world waits for each frame's command",
            ("realtime", "lockstep"),
        ),
    }


def world(value: Values) -> dict[str, object]:
    """The simulator's parameters."""
    options = {"options": chosen} if (chosen := value["options"].split()) else {}
    settings = {name: value[name] for name in ("world", "mode")}
    return {**settings, "seed": number(value, "seed"), **options}


def recording_arguments(kind: str, record: bool = False) -> dict[str, Argument]:
    """Whether and where to record a run of this kind."""
    bag = os.path.join(run_folder(kind), "bag")
    return {
        "record": Argument(str(record).lower(), "record into a bag (MCAP)", SWITCH),
        "bag": Argument(bag, "folder of the bag, which must not exist yet"),
    }


def view_arguments() -> dict[str, Argument]:
    """Whether to serve a live page."""
    text = "serve a live page at http://127.0.0.1:8642/, and begin to record when it says so"
    return {"view": Argument("false", text, SWITCH)}


def run_folder(kind: str) -> str:
    """A folder below the working directory that tells when a run began."""
    return os.path.join("runs", f"{datetime.now():%Y-%m-%d-%H%M%S}-{kind}")


def description(
    arguments: Mapping[str, Argument], actions: Callable[[Values], list[Action]]
) -> LaunchDescription:
    """A launch description: the arguments, then what `actions` makes of their values."""

    def begin(context: LaunchContext) -> list[Action]:
        # Of the launch, which may be a node itself, and of all that it starts.
        transport.choose()
        return actions({name: LaunchConfiguration(name).perform(context) for name in arguments})

    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    name,
                    default_value=argument.default,
                    description=argument.text,
                    choices=argument.choices,
                )
                for name, argument in arguments.items()
            ),
            SetEnvironmentVariable(
                "ROS_AUTOMATIC_DISCOVERY_RANGE", LaunchConfiguration("discovery")
            ),
            # Inference of one frame gains nothing from threads, and they disturb the other nodes.
            SetEnvironmentVariable("OMP_NUM_THREADS", "1"),
            OpaqueFunction(function=begin),
        ]
    )


def node(
    value: Values,
    executable: str,
    *parameters: Mapping[str, object],
    remap: Remaps = (),
    kind: type[Node] = Node,
    needed: bool = True,
) -> Node:
    """A node of this package, named after its executable, whose end ends the launch if `needed`.

    Args:
        value: of the launch's arguments, among them those of `common`.
        parameters: on top of the file `params_file`.
    """
    enclave = "/".join(["", *filter(None, value["namespace"].split("/")), executable])
    return kind(
        package="liquid_control",
        executable=executable,
        name=executable,
        namespace=value["namespace"],
        # rcl takes a parameter file without a single parameter for an error.
        parameters=[*filter(None, (value["params_file"], *parameters))],
        remappings=[*remap, *_TRANSFORMS],
        # The enclave says which keys a node may use; without SROS2 it says nothing.
        ros_arguments=["--log-level", value["log_level"], "--enclave", enclave],
        output="screen",
        # A recorder may have megabytes to write, on a busy machine.
        sigterm_timeout="10",
        on_exit=_end_together if needed else None,
    )


def sim_time(value: Values) -> dict[str, bool]:
    """The parameter of that name."""
    return {"use_sim_time": value["use_sim_time"] == "true"}


def number(value: Values, name: str, kind: type = int) -> int | float:
    """An argument as an int or a float.

    Raises:
        InputError: it is none.
    """
    try:
        return kind(value[name])
    except ValueError as error:
        raise InputError(
            f"Launch argument {name} must be {'a whole number' if kind is int else 'a number'}, "
            f"got {value[name]!r}."
        ) from error


def managed(
    value: Values, *parameters: Mapping[str, object], remap: Remaps = CAMERA
) -> list[Action]:
    """The policy and, with `autostart`, the events that bring it up; what fails ends the launch.

    A LifecycleNode makes the launch a ROS node itself, hence only where its events are wanted.
    """
    policy = node(
        value,
        "policy",
        sim_time(value),
        {"model": value["model"], "autostart": value["autostart"] == "node"},
        *parameters,
        remap=remap,
        kind=LifecycleNode if value["autostart"] == "true" else Node,
    )
    if value["autostart"] != "true":
        return [policy]

    def change(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(
                lifecycle_node_matcher=matches_action(policy), transition_id=transition
            )
        )

    def on(start: str, goal: str, action: Action) -> RegisterEventHandler:
        return RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=policy, start_state=start, goal_state=goal, entities=[action]
            )
        )

    def give_up(what: str) -> Shutdown:
        return Shutdown(reason=f"the policy could not be {what}; it has said why")

    return [
        on("configuring", "inactive", change(Transition.TRANSITION_ACTIVATE)),
        on("configuring", "unconfigured", give_up("configured")),
        on("activating", "inactive", give_up("activated")),
        on("errorprocessing", "finalized", give_up("started again after an error")),
        policy,
        change(Transition.TRANSITION_CONFIGURE),
    ]


def recording(value: Values, remap: Remaps = ()) -> list[Action]:
    """The recorder, where it is asked for; with a live page it waits for that."""
    at_once = value["record"] == "true"
    if not at_once and value.get("view") != "true":
        return []
    return [node(value, "recorder", {"bag": value["bag"], "at_once": at_once}, remap=remap)]


def live_page(value: Values) -> list[Action]:
    """The live page, where it is asked for; the vehicle drives on without it."""
    return [node(value, "view", needed=False)] if value["view"] == "true" else []


def joystick(value: Values, remap: Remaps = ()) -> list[Action]:
    """A person's joystick, where it is asked for: our node and ROS 2's driver of the device."""
    if value["teleop"] != "true":
        return []
    hands = node(value, "teleop", sim_time(value), {"input": "joystick"}, remap=remap)
    if not installed("joy"):
        return [hands, LogInfo(msg="The package joy is not installed: somebody else publishes joy")]
    driver = Node(package="joy", executable="joy_node", name="joy", namespace=value["namespace"])
    return [hands, driver]


def installed(package: str) -> bool:
    """Whether ROS 2 finds a package."""
    try:
        get_package_share_directory(package)
    except PackageNotFoundError:
        return False
    return True


def require(package: str, otherwise: str) -> None:
    """Raise an InputError where ROS 2 does not find a package."""
    if not installed(package):
        distribution = os.environ.get("ROS_DISTRO", "<distribution>")
        debian = f"ros-{distribution}-{package.replace('_', '-')}"
        raise InputError(
            f"The ROS 2 package {package} is not installed; apt-get install {debian}, or "
            f"{otherwise}."
        )


def _end_together(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """End the launch with its first node; once, because launch_ros fails on a second shutdown."""
    if context.is_shutdown:
        return None
    return Shutdown(reason=f"{event.process_name} has ended")
