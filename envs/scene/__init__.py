"""What the camera worlds share: meshes, textures, seasons, light, and the way into OpenGL.

A world compiles its MuJoCo model once, with fixed counts of vertices, and every reset overwrites
vertices, textures and light in place (`stage`); `renderer` turns it into frames.
"""

import os
import sys

from liquid_control.errors import InputError

# Whoever imported MuJoCo before us and chose nothing has got its default, too late to say more.
_DEFAULT = "mujoco" in sys.modules and "MUJOCO_GL" not in os.environ
# MuJoCo reads this when it is first imported. Off screen is the rule here, and its own default
# (GLFW) does not start without a display.
os.environ.setdefault("MUJOCO_GL", "egl")

try:
    # Here, so that every world meets the same answer.
    if _DEFAULT:
        from mujoco.egl import GLContext
    else:
        from mujoco import GLContext
except ModuleNotFoundError:
    raise  # A package that is not installed; the command line says which.
except (AttributeError, ImportError, OSError) as error:
    # MuJoCo loads the library of MUJOCO_GL when it is imported, and trips over a missing one.
    raise InputError(
        f"MuJoCo cannot load OpenGL for MUJOCO_GL={os.environ['MUJOCO_GL']} ({error}); install "
        "libegl1 and libgl1-mesa-dri and unset MUJOCO_GL, then try `liquid-control doctor`."
    ) from error

__all__ = ["GLContext"]
