"""Driving on procedural two-lane roads, seen through a front camera.

`env` is the Gymnasium contract; `road` draws the road from a seed; `vehicle` is the car's physics;
`scenery` turns a road into meshes, `textures` and `light` into what they look like, and `renderer`
into frames; `expert` drives with privileged knowledge of the road.
"""

import os

# MuJoCo reads this when it is first imported. Off screen is the rule here, and its own default
# (GLFW) does not start without a display.
os.environ.setdefault("MUJOCO_GL", "egl")

from liquid_control.errors import InputError  # after MUJOCO_GL is set

try:
    from liquid_control.envs.driving.env import DrivingEnv
except ModuleNotFoundError:
    raise  # A package that is not installed; the command line says which.
except (AttributeError, ImportError, OSError) as error:
    # MuJoCo loads the library of MUJOCO_GL when it is imported, and trips over a missing one.
    raise InputError(
        f"MuJoCo cannot load OpenGL for MUJOCO_GL={os.environ['MUJOCO_GL']} ({error}); install "
        "libegl1 and libgl1-mesa-dri and unset MUJOCO_GL, then try `liquid-control doctor`."
    ) from error

__all__ = ["DrivingEnv"]
