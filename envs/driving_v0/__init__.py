"""`Driving-v0`, kept as it is for the models that were trained in it; `driving` is its successor.

`env` is the Gymnasium contract; `road` draws the road from a seed; `vehicle` is the car's physics;
`scenery` turns a road into meshes, `textures` and `light` into what they look like; `expert` drives
with privileged knowledge of the road.
"""

from liquid_control.envs import scene  # noqa: F401  (finds OpenGL before MuJoCo is imported)
from liquid_control.envs.driving_v0.env import DrivingEnv

__all__ = ["DrivingEnv"]
