"""Driving on procedural two-lane roads, seen through a front camera.

`env` is the Gymnasium contract; `road` draws the road from a seed; `vehicle` is the car's physics;
`scenery` turns a road into meshes, `textures` and `light` into what they look like, and `renderer`
into frames; `expert` drives with privileged knowledge of the road.
"""

import os

# MuJoCo reads this when it is first imported. Off screen is the rule here, and its own default
# (GLFW) does not start without a display.
os.environ.setdefault("MUJOCO_GL", "egl")

from liquid_control.envs.driving.env import DrivingEnv

__all__ = ["DrivingEnv"]
