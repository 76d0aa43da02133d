"""A world without pictures that costs nothing, and that breaks where it is told to."""

import time
from typing import ClassVar

import gymnasium
import numpy as np

from liquid_control.command import CURVATURE, CommandSpec, Output
from liquid_control.errors import InputError

WORLD = "small_world:liquid_control/Small-v0"
COMMAND = CommandSpec((CURVATURE, Output("speed", "m/s", 0.0, 15.0)))


class SmallEnv(gymnasium.Env):
    """A lane along x at 10 Hz; the seed says how far to the side it begins.

    Args:
        seconds: length of an episode.
        raises: seed of an episode in which the world raises.
        nan: seed of one in which the world's numbers are none.
        pause: what a step takes [s], so that a process can be killed in between.
    """

    metadata: ClassVar[dict] = {"render_modes": [], "render_fps": 10}

    def __init__(self, seconds=1.0, raises=None, nan=None, pause=0.0, render_mode=None):
        self.command, self.cruise, self.render_mode = COMMAND, 8.0, render_mode
        self.observation_space = gymnasium.spaces.Box(0, 255, (78, 200, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(COMMAND.low, COMMAND.high)
        self._steps, self._raises, self._nan = round(10 * seconds), raises, nan
        self._pause = pause

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if set(options or {}) - {"wide"}:
            raise InputError(f"Small-v0 has no option {options}; it has wide.")
        self._seed, self._step = seed, 0
        self._wide = (options or {}).get("wide", 2.0)
        self._lateral = float(self.np_random.uniform(-0.5, 0.5))
        return self._frame(), self._info()

    def step(self, action):
        time.sleep(self._pause)
        if self._seed == self._raises and self._step == 3:
            raise RuntimeError("the wheel, it came off")
        self._step += 1
        self._lateral += 10 * float(action[0])
        crashed = abs(self._lateral) > self._wide
        return self._frame(), 1.0, crashed, self._step >= self._steps, self._info()

    def expert_action(self):
        return np.array([-0.02 * self._lateral, self.cruise], np.float32)

    def _frame(self):
        return np.full((78, 200, 3), 100, np.uint8)

    def _info(self):
        broken = self._seed == self._nan and self._step > 5
        return {
            "x": 0.8 * self._step,
            "y": self._lateral,
            "speed": 8.0,
            "yaw_rate": 0.1,
            "lateral_error": np.nan if broken else self._lateral,
            "heading_error": 0.0,
            "lane_departure": float(abs(self._lateral) > 1),
            "distance": 0.8 * self._step,
        }


gymnasium.register(id="liquid_control/Small-v0", entry_point=SmallEnv)
