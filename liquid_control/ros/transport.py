"""What Fast DDS sends camera frames through, unless the user has chosen that already."""

from __future__ import annotations

import os

from liquid_control import models

__all__ = ["choose"]

# Fast DDS 3 (Kilted) reads the first, 2.14 (Jazzy) the second.
_PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
# Other ways to choose transports, which a profile would overrule.
_CHOSEN = ("FASTDDS_BUILTIN_TRANSPORTS",)


def choose() -> None:
    """Give this process, before `rclpy.init`, shared memory that holds whole camera frames.

    With the default of 512 kB a 640 x 480 frame of 900 kB arrives only now and then
    (docs/latency.md). Other middlewares do not read the variables.
    """
    if not any(os.environ.get(name) for name in (*_PROFILES, *_CHOSEN)):
        profile = str(models.share() / "config" / "fastdds.xml")
        os.environ.update(dict.fromkeys(_PROFILES, profile))
