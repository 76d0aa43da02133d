"""The drone's physics: rotors, drag, wind and touch, over MuJoCo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from liquid_control.envs.drone.controller import Controller

__all__ = ["KINDS", "Pose", "Quadrotor"]

KINDS = {name: Path(__file__).with_name(f"{name}.xml") for name in ("x2", "nano")}
GUST_TIME = 1.5  # [s], over which a gust of wind forgets itself
GUST_UP = 0.3  # of the gusts goes up and down


@dataclass(frozen=True)
class Pose:
    """State of base_link.

    Attributes:
        x, y, z: position in the world [m].
        roll, pitch, yaw: [rad], about x, y, z in the order yaw, pitch, roll.
        vx, vy, vz: velocity [m/s] in the yaw-aligned frame: forward, left, up.
        yaw_rate: [rad/s].
    """

    x: float
    y: float
    z: float
    roll: float
    pitch: float
    yaw: float
    vx: float
    vy: float
    vz: float
    yaw_rate: float

    @property
    def speed(self) -> float:
        """[m/s]"""
        return math.sqrt(self.vx**2 + self.vy**2 + self.vz**2)


class Quadrotor:
    """Flies the `base_link` of a MuJoCo model made from one of `KINDS`.

    Attributes:
        radius: of the hull, seen from above [m].
        touched: whether the last `step` ended in contact with anything.
        impact: speed [m/s] at which it last met anything in the last `step`, 0 without contact.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self.model, self.data = model, data
        self._body = model.body("base_link").id
        self.radius = float(model.geom("hull").size[:2].max())
        self._drag = tuple(model.numeric("drag").data.tolist())
        self._controller = Controller(model)
        self.touched, self.impact = False, 0.0
        self.disturb(np.random.default_rng(0))

    @classmethod
    def alone(cls, kind: str) -> Quadrotor:
        """A drone of a kind over empty ground, to try out how it flies."""
        model = mujoco.MjModel.from_xml_path(str(KINDS[kind]))
        return cls(model, mujoco.MjData(model))

    def disturb(
        self,
        rng: np.random.Generator,
        wind: float = 0.0,
        gusts: float = 0.0,
        motor_noise: float = 0.0,
    ) -> None:
        """Set what disturbs the flight from now on.

        Args:
            rng: draws the wind's direction, the gusts and the noise.
            wind: mean speed [m/s]; it blows along the ground.
            gusts: standard deviation [m/s] of each horizontal component, an Ornstein-Uhlenbeck
                process with a time constant of 1.5 s.
            motor_noise: standard deviation of a rotor's force as a share of the force asked for:
                half of its variance for the whole flight, half anew every step.
        """
        self._rng = rng
        direction = rng.uniform(0, 2 * np.pi)
        self._mean = np.array([wind * np.cos(direction), wind * np.sin(direction), 0.0])
        self._spread = gusts * np.array([1.0, 1.0, GUST_UP])
        self._gust = rng.normal(size=3) * self._spread
        share = motor_noise / np.sqrt(2)
        self._motor_noise = share
        self._motor_gain = 1 + share * rng.normal(size=4)

    def place(self, x: float, y: float, z: float, yaw: float) -> None:
        """Put the drone at (x, y, z) [m] with `yaw` [rad], hovering."""
        # What else stands in the world stays where it is.
        others = self.data.mocap_pos.copy(), self.data.mocap_quat.copy()
        mujoco.mj_resetData(self.model, self.data)
        self.data.mocap_pos[:], self.data.mocap_quat[:] = others
        self.data.qpos[:7] = [x, y, z, math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]
        self.data.act[:] = self._controller.hover
        self._controller.reset(0.0, 0.0, 0.0)
        self.touched, self.impact = False, 0.0
        mujoco.mj_forward(self.model, self.data)

    def step(self, command: tuple[float, float, float, float], seconds: float) -> None:
        """Follow vx, vy, vz [m/s, yaw-aligned] and a yaw rate [rad/s] for `seconds`."""
        model, data, controller = self.model, self.data, self._controller
        qpos, qvel, ctrl = data.qpos, data.qvel, data.ctrl
        push = data.xfrc_applied[self._body]
        linear, quadratic = self._drag
        steps = round(seconds / model.opt.timestep)
        wx, wy, wz = self._blow(seconds)
        shares = self._shares(steps)
        self.impact = 0.0
        for index in range(steps):
            position, velocity = qpos.tolist(), qvel.tolist()
            forces = controller.forces(command, position, velocity)
            if shares is not None:
                forces = [f * s for f, s in zip(forces, shares[index], strict=True)]
            ctrl[:] = forces
            ux, uy, uz = velocity[0] - wx, velocity[1] - wy, velocity[2] - wz
            drag = -(linear + quadratic * math.sqrt(ux * ux + uy * uy + uz * uz))
            push[:3] = drag * ux, drag * uy, drag * uz
            mujoco.mj_step(model, data)
            touched = data.ncon > 0
            if touched and not self.touched:
                self.impact = max(self.impact, math.hypot(*velocity[:3]))
            self.touched = touched

    @property
    def pose(self) -> Pose:
        x, y, z, w, i, j, k = self.data.qpos.tolist()
        ux, uy, uz, _, q, r = self.data.qvel.tolist()
        yaw = math.atan2(2 * (w * k + i * j), 1 - 2 * (j * j + k * k))
        pitch = math.asin(max(-1.0, min(1.0, 2 * (w * j - i * k))))
        roll = math.atan2(2 * (w * i + j * k), 1 - 2 * (i * i + j * j))
        cos, sin = math.cos(yaw), math.sin(yaw)
        # What the body's rates do to the yaw (Euler angles in the order yaw, pitch, roll).
        turn = (q * math.sin(roll) + r * math.cos(roll)) / max(math.cos(pitch), 1e-3)
        vx, vy = cos * ux + sin * uy, cos * uy - sin * ux
        return Pose(x, y, z, roll, pitch, yaw, vx, vy, uz, turn)

    def _blow(self, seconds: float) -> list[float]:
        """The wind [m/s, world] of this step: the mean, and a gust that goes on from the last."""
        keep = math.exp(-seconds / GUST_TIME)
        fresh = self._rng.normal(size=3) * self._spread
        self._gust = keep * self._gust + math.sqrt(1 - keep * keep) * fresh
        return (self._mean + self._gust).tolist()

    def _shares(self, steps: int) -> list[list[float]] | None:
        if self._motor_noise == 0:
            return None
        noise = self._motor_noise * self._rng.normal(size=(steps, 4))
        return (self._motor_gain + noise).clip(0, 2).tolist()
