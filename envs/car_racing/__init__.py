"""Gymnasium's CarRacing-v3 behind the project's command: `liquid_control/CarRacing-v0`."""

import os

from gymnasium.error import DependencyNotInstalled

from liquid_control.errors import InputError

# pygame greets on standard output, which belongs to the commands that use the world.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

try:
    import gymnasium.envs.box2d.car_racing  # noqa: F401  (asks for what is missing)

    from liquid_control.envs.car_racing.env import CarRacingEnv
except DependencyNotInstalled as error:
    raise InputError(
        "The world CarRacing needs Box2D and pygame, which are not installed here; "
        "run `pip install liquid_control[carracing]`."
    ) from error

__all__ = ["CarRacingEnv"]
