"""`Drone-v0`: a quadrotor in a forest or a city, seen through its front camera.

`env` is the Gymnasium contract and `options` what can be asked of an episode; `quadrotor` is the
physics (`x2.xml`, `nano.xml`), flown by `controller`; `route` draws start and targets, `forest` and
`city` what stands around them, `world` holds it all; `task` judges, `expert` flies with privileged
knowledge.
"""

from liquid_control.envs import scene  # noqa: F401  (finds OpenGL before MuJoCo is imported)
from liquid_control.envs.drone.env import DroneEnv
from liquid_control.envs.drone.options import Options

__all__ = ["DroneEnv", "Options"]
