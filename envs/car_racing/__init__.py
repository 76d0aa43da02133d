"""Gymnasium's CarRacing-v3 behind the project's command: `liquid_control/CarRacing-v0`."""

import os

# pygame greets on standard output, which belongs to the commands that use the world.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

from liquid_control.envs.car_racing.env import CarRacingEnv

__all__ = ["CarRacingEnv"]
