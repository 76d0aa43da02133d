"""A small world with a goal, for what must not depend on any one world; it draws without OpenGL."""

from typing import ClassVar

import gymnasium
import numpy as np

from liquid_control.command import CommandSpec, Output
from liquid_control.errors import InputError

WORLD = "fake_world:liquid_control/Fake-v0"
COMMAND = CommandSpec(
    (
        Output("vx", "m/s", -1.0, 3.0),
        Output("vy", "m/s", -1.0, 1.0),
        Output("yaw_rate", "rad/s", -1.0, 1.0),
    )
)


class FakeEnv(gymnasium.Env):
    """Fly to x = `goal` [m]; beyond |y| = 5 m is a wall. The frame shows x, y and the season."""

    metadata: ClassVar[dict] = {"render_modes": [], "render_fps": 10}

    def __init__(self, goal: float = 4.0, season: str = "summer", render_mode: str | None = None):
        self.command, self.cruise, self.render_mode = COMMAND, 1.0, render_mode
        self.observation_space = gymnasium.spaces.Box(0, 255, (78, 200, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(COMMAND.low, COMMAND.high)
        self._defaults = {"goal": goal, "season": season}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._asked = 0
        options = self._defaults | (options or {})
        if options["season"] not in ("summer", "winter"):
            raise InputError(f"No season {options['season']!r}; choose summer or winter.")
        self._options = options
        self._at, self._steps = self.np_random.uniform(-0.5, 0.5, 2), 0
        return self._frame(), self._info()

    def step(self, action):
        self._at = self._at + np.asarray(action[:2], float) / 10
        self._steps += 1
        info = self._info()
        ended = bool(info["success"] or abs(self._at[1]) > 5)
        return self._frame(), 1.0, ended, False, info

    def expert_action(self):
        # Remembers how often it was asked: a recording must not ask twice for one frame.
        self._asked += 1
        return np.array([self.cruise, -self._at[1], self._asked % 100 * 1e-3], np.float32)

    def intrinsics(self):
        size = {"width": 200, "height": 78, "fx": 150.0, "fy": 151.0, "cx": 100.0, "cy": 39.0}
        return {**size, "distortion": (0.1, 0.0, 0.0, 0.0, 0.0)}

    def _frame(self):
        frame = np.full((78, 200, 3), 90 if self._options["season"] == "summer" else 250, np.uint8)
        column = int(np.clip(100 + 10 * self._at[1], 0, 195))
        frame[20:40, column : column + 5] = (int(10 * max(self._at[0], 0)) % 256, 20, 20)
        return frame

    def _info(self):
        x, y = map(float, self._at)
        done = float(x >= self._options["goal"])
        body = {"vx": 1.0, "vy": 0.1, "vz": -0.2, "yaw_rate": 0.3}
        pose = {"x": x, "y": y, "z": 2.0, "yaw": 0.5, "roll": 0.1, "pitch": -0.2}
        return {**pose, **body, "distance": x, "success": done, "time": self._steps / 10}


gymnasium.register(id="liquid_control/Fake-v0", entry_point=FakeEnv)
