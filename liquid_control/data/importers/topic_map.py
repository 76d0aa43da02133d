"""Which topic of a foreign bag is what: a small YAML file."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from liquid_control.camera import View
from liquid_control.camera.view import PARAMETERS
from liquid_control.errors import InputError

__all__ = ["Source", "TopicMap"]


@dataclass(frozen=True)
class Source:
    """Where an output comes from: a number of the command, times `scale`."""

    name: str
    scale: float = 1.0


@dataclass(frozen=True)
class TopicMap:
    """Content of a topic map.

    Args:
        camera: topic of the camera (sensor_msgs/Image or CompressedImage).
        command: topic of the command (Twist, TwistStamped, AckermannDrive or
            AckermannDriveStamped, JointState).
        outputs: output name -> where it comes from; by default curvature and speed where they
            are known, else everything.
        wheelbase: of a robot that is steered by its wheels [m]; gives its curvature.
        rate: keep at most so many frames a second [Hz].
        odom: topic of nav_msgs/Odometry, copied to /odom.
        camera_info: topic of sensor_msgs/CameraInfo, copied to /camera/camera_info; but with a
            view, which it does not describe.
        view: what a policy is to see of the frames, by the names of the policy node's parameters:
            {flip: both, roi_top: 0.2, undistort: true}. The frames become PNG.
    """

    camera: str
    command: str
    outputs: dict[str, Source] | None = None
    wheelbase: float | None = None
    rate: float | None = None
    odom: str | None = None
    camera_info: str | None = None
    view: View | None = None

    @classmethod
    def read(cls, path: Path) -> TopicMap:
        """Raises:
        InputError: the file is missing, no YAML, or lacks or has something unknown.
        """
        try:
            content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The topic map {path} cannot be read ({error}).") from error
        except YAMLError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"The topic map {path} is no YAML ({reason}).") from error
        known = [field.name for field in fields(cls)]
        if not isinstance(content, dict) or set(content) - set(known):
            odd = sorted(map(str, set(content) - set(known))) if isinstance(content, dict) else []
            raise InputError(
                f"The topic map {path} holds {', '.join(odd) or 'no names with values'}; expected "
                f"camera and command and, where they help, {', '.join(known[2:])}."
            )
        for name in ("camera", "command", "odom", "camera_info"):
            needed = name in ("camera", "command")
            if not isinstance(content.get(name), str) and (needed or content.get(name) is not None):
                raise InputError(
                    f"The topic map {path} needs a topic's name for {name!r}, got "
                    f"{content.get(name)!r}; write {name}: /a/topic."
                )
        for name in ("wheelbase", "rate"):
            if content.get(name) is not None:
                content[name] = _positive(content[name], name, path)
        if content.get("outputs") is not None:
            content["outputs"] = _outputs(content["outputs"], path)
        if content.get("view") is not None:
            content["view"] = _view(content["view"], path)
            if content["view"].undistort and not content.get("camera_info"):
                raise InputError(
                    f"The topic map {path} asks for undistort without a topic for camera_info; "
                    "write camera_info: /a/topic."
                )
        return cls(**content)


def _view(content: Any, path: Path) -> View:
    """A horizon needs a policy to match; an import knows none."""
    known = [name for name in PARAMETERS if name != "horizon"]
    if not isinstance(content, dict) or set(content) - set(known):
        raise InputError(
            f"The topic map {path} says view: {content!r}; expected a mapping of "
            f"{', '.join(known)} to values."
        )
    for name, value in content.items():
        kind = {"flip": str, "undistort": bool}.get(name, (int, float))
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InputError(
                f"The topic map {path} says {name}: {value!r} in its view, which is another kind "
                "of value; see the policy node's parameters."
            )
    try:
        return View.of(content)
    except InputError as error:
        raise InputError(f"The view of the topic map {path} cannot be: {error}") from error


def _positive(value: Any, name: str, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"The topic map {path} needs {name} above 0, got {value!r}.")
    return float(value)


def _outputs(content: Any, path: Path) -> dict[str, Source]:
    """Of a list of names, or of a mapping to names or to {from: name, scale: factor}."""
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        content = {name: name for name in content}
    found = {}
    for name, value in content.items() if isinstance(content, dict) else ():
        one = {"from": value} if isinstance(value, str) else value
        scale = one.get("scale", 1.0) if isinstance(one, dict) else None
        fits = isinstance(one, dict) and not set(one) - {"from", "scale"}
        if not fits or isinstance(scale, bool) or not isinstance(scale, int | float):
            raise InputError(
                f"The topic map {path} says {name}: {value!r} among its outputs; expected the name "
                "of a number of the command, or {from: name, scale: factor}."
            )
        found[str(name)] = Source(str(one.get("from", name)), float(scale))
    if not found:
        raise InputError(
            f"The topic map {path} names no output; write outputs: [curvature, speed], or leave "
            "them out."
        )
    return found
