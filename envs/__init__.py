"""The simulated worlds, as Gymnasium environments.

    import liquid_control.envs
    gymnasium.make("liquid_control/Driving-v0")

or, in one line, `gymnasium.make("liquid_control.envs:liquid_control/Driving-v0")`: Gymnasium 1
looks for no plug-ins, so something must import this package, which registers the worlds.

They import nothing of liquid_control but errors, command and camera, so that they are of use on
their own. Import them as `liquid_control.envs`, never as a global module `envs`.
"""

import warnings

import gymnasium

__all__: list[str] = []

# Driving-v0 is kept for the models that were trained in it; to them v1 is no upgrade.
warnings.filterwarnings("ignore", r".*liquid_control/Driving-v0 is out of date", DeprecationWarning)

gymnasium.register(
    id="liquid_control/Driving-v0",
    entry_point="liquid_control.envs.driving_v0:DrivingEnv",
)
gymnasium.register(
    id="liquid_control/Driving-v1",
    entry_point="liquid_control.envs.driving:DrivingEnv",
)
gymnasium.register(
    id="liquid_control/CarRacing-v0",
    entry_point="liquid_control.envs.car_racing:CarRacingEnv",
    reward_threshold=900.0,
)
gymnasium.register(
    id="liquid_control/Drone-v0",
    entry_point="liquid_control.envs.drone:DroneEnv",
)
