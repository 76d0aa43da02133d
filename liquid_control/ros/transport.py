"""What Fast DDS sends messages through, and to whom, unless the user has chosen that already."""

from __future__ import annotations

import os

from liquid_control import models

__all__ = ["choose"]

# Fast DDS 3 (Kilted) reads the first, 2.14 (Jazzy) the second.
_PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
# Other ways to choose transports, which a profile would overrule.
_CHOSEN = ("FASTDDS_BUILTIN_TRANSPORTS",)


def choose() -> None:
    """Give this process, before `rclpy.init`, shared memory that holds whole camera frames, and
    keep it to this machine unless ROS_AUTOMATIC_DISCOVERY_RANGE says otherwise.

    With the default of 512 kB a 640 x 480 frame of 900 kB arrives only now and then
    (docs/latency.md). LOCALHOST alone makes nobody look for others, yet leaves ports open to the
    network (docs/security.md), which the profile closes. Other middlewares do not read it.
    """
    if not os.environ.get(_RANGE):
        os.environ[_RANGE] = "LOCALHOST"
    if not any(os.environ.get(name) for name in (*_PROFILES, *_CHOSEN)):
        local = os.environ[_RANGE] == "LOCALHOST"
        profile = models.share() / "config" / f"fastdds{'_localhost' if local else ''}.xml"
        os.environ.update(dict.fromkeys(_PROFILES, str(profile)))
