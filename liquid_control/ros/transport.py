"""What Fast DDS sends messages through, and to whom, unless the user has chosen that already."""

from __future__ import annotations

import os
from pathlib import Path

from liquid_control import models

__all__ = ["choose", "variables"]

# Fast DDS 3 (Kilted) reads the first and warns of the second, the only one that 2.14 (Jazzy) reads.
_PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
# Other ways to choose transports, which a profile would overrule.
_CHOSEN = ("FASTDDS_BUILTIN_TRANSPORTS",)


# What rmw_fastrtps calls a process that its profile alone describes.
_BY_PROFILE = "SYSTEM_DEFAULT"


def variables(shared_memory: bool = True) -> dict[str, str]:
    """What the environment of a process needs for it; nothing where the user has chosen.

    With the default of 512 kB a 640 x 480 frame of 900 kB arrives only now and then
    (docs/latency.md). The memory is the sender's. With LOCALHOST nobody looks for others, yet Fast
    DDS leaves ports open to the network (docs/security.md), which the second profile closes. Other
    middlewares do not read the variables.

    Args:
        shared_memory: False for a process that must outlive others: one that is killed while it
            writes leaves a lock behind that can end who shares its memory (docs/faults.md).
    """
    config = models.share() / "config"
    alone = str(config / "fastdds_localhost_udp.xml")
    chosen = [os.environ.get(name) for name in (*_PROFILES, *_CHOSEN)]
    # A parent process of ours may have left a profile of ours, which is nobody's choice.
    if any(value and Path(value).resolve().parent != config.resolve() for value in chosen):
        return {}
    name = _PROFILES[os.environ.get("ROS_DISTRO") == "jazzy"]
    asked = os.environ.get(_RANGE) or "LOCALHOST"
    if asked == "LOCALHOST" or (asked == _BY_PROFILE and alone in chosen):
        if shared_memory:
            return {name: str(config / "fastdds_localhost.xml"), _RANGE: "LOCALHOST"}
        # With LOCALHOST rmw_fastrtps adds shared memory to any profile.
        return {name: alone, _RANGE: _BY_PROFILE}
    return {name: str(config / f"fastdds{'' if shared_memory else '_udp'}.xml")}


def choose(shared_memory: bool = True) -> None:
    """Give this process, before `rclpy.init`, shared memory that holds whole camera frames, or
    none, and keep it to this machine unless the user has opened it to the network.
    """
    if not os.environ.get(_RANGE):
        os.environ[_RANGE] = "LOCALHOST"
    os.environ.update(variables(shared_memory))
