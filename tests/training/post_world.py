"""A small world to steer in, for what must not depend on any one world; it draws without OpenGL."""

from typing import ClassVar

import gymnasium
import numpy as np

from liquid_control.command import CURVATURE, CommandSpec

WORLD = "post_world:liquid_control/Post-v0"
COMMAND = CommandSpec((CURVATURE,))


class PostEnv(gymnasium.Env):
    """Steer so that the post stays in the middle; the car crashes where it leaves the frame.

    Curvature moves the post sideways, and a wind from the left or right, drawn for each episode,
    blows it away. The frame shows the post alone.
    """

    metadata: ClassVar[dict] = {"render_modes": [], "render_fps": 10}

    def __init__(self, wind: float = 0.02, render_mode: str | None = None):
        self.command, self.render_mode, self._wind = COMMAND, render_mode, wind
        self.observation_space = gymnasium.spaces.Box(0, 255, (78, 200, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(COMMAND.low, COMMAND.high)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._at, self._steps = float(self.np_random.uniform(-1.5, 1.5)), 0
        self._blows = float(self.np_random.choice([-1.0, 1.0])) * self._wind
        return self._frame(), self._info()

    def step(self, action):
        self._at += 5 * (float(action[0]) + self._blows)
        self._steps += 1
        return self._frame(), 1.0 - abs(self._at), abs(self._at) > 3, False, self._info()

    def expert_action(self):
        return COMMAND.clip(np.array([-0.03 * self._at]))

    def _frame(self):
        frame = np.full((78, 200, 3), 40, np.uint8)
        column = int(np.clip(90 - 25 * self._at, 0, 180))
        frame[20:70, column : column + 20] = 220
        return frame

    def _info(self):
        return {"lateral_error": self._at, "distance": self._steps / 10, "time": self._steps / 10}


gymnasium.register(id="liquid_control/Post-v0", entry_point=PostEnv)
