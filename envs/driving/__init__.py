"""`Driving-v1`: a car on procedural roads in every season, weather and light.

`env` is the Gymnasium contract and `options` what can be asked of an episode; `road` draws the road
from a seed, `terrain` the hills it lies on, `traffic` other cars; `vehicle` is the physics;
`country` and `hall` turn a road into meshes and `surfaces` into colours, `world` holds the MuJoCo
model of all of it; `front_camera` makes frames of it; `expert` drives with privileged knowledge.
"""

from liquid_control.envs import scene  # noqa: F401  (finds OpenGL before MuJoCo is imported)
from liquid_control.envs.driving.env import DrivingEnv

__all__ = ["DrivingEnv"]
