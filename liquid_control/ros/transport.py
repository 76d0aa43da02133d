"""What Fast DDS sends messages through, and to whom, unless the user has chosen that already."""

from __future__ import annotations

import os

from liquid_control import models

__all__ = ["choose", "variables"]

# Fast DDS 3 (Kilted) reads the first and warns of the second, the only one that 2.14 (Jazzy) reads.
_PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
# Other ways to choose transports, which a profile would overrule.
_CHOSEN = ("FASTDDS_BUILTIN_TRANSPORTS",)


def variables() -> dict[str, str]:
    """What the environment of a process needs for it; nothing where the user has chosen.

    With the default of 512 kB a 640 x 480 frame of 900 kB arrives only now and then
    (docs/latency.md). The memory is the sender's. With LOCALHOST nobody looks for others, yet Fast
    DDS leaves ports open to the network (docs/security.md), which the second profile closes. Other
    middlewares do not read the variables.
    """
    if any(os.environ.get(name) for name in (*_PROFILES, *_CHOSEN)):
        return {}
    name = _PROFILES[os.environ.get("ROS_DISTRO") == "jazzy"]
    local = os.environ.get(_RANGE) in (None, "", "LOCALHOST")
    profile = f"fastdds{'_localhost' if local else ''}.xml"
    return {name: str(models.share() / "config" / profile)}


def choose() -> None:
    """Give this process, before `rclpy.init`, shared memory that holds whole camera frames, and
    keep it to this machine unless the user has opened it to the network.
    """
    if not os.environ.get(_RANGE):
        os.environ[_RANGE] = "LOCALHOST"
    os.environ.update(variables())
