"""The simulated worlds, as Gymnasium environments that need no import to be made.

    gymnasium.make("liquid_control/Driving-v0")

They import nothing of liquid_control but errors, command and camera, so that they are of use on
their own. Import them as `liquid_control.envs`, never as a global module `envs`.
"""

import gymnasium

__all__ = ["register"]


def register() -> None:
    """Register the worlds; Gymnasium calls this through the entry point `gymnasium.envs`."""
    if "liquid_control/Driving-v0" not in gymnasium.registry:
        gymnasium.register(
            id="liquid_control/Driving-v0",
            entry_point="liquid_control.envs.driving:DrivingEnv",
        )
