"""The flight controller: from a velocity and a yaw rate to the force of each rotor.

A cascade, as flight stacks have it: velocity -> acceleration -> direction and size of the thrust ->
body rates -> torques -> rotors. Plain floats and `math`: for four rotors that is several times
faster than arrays, and it runs at every physics step.

Thrust direction and yaw rate are controlled apart from each other (reduced attitude: Brescianini,
Hehn, D'Andrea, "Nonlinear quadrocopter attitude control", 2013), because the command has no yaw.
"""

from __future__ import annotations

import math

import mujoco

__all__ = ["GRAVITY", "MAX_TILT", "ROTORS", "Controller"]

ROTORS = ("front_left", "front_right", "rear_left", "rear_right")
GRAVITY = 9.81  # [m/s^2]
MAX_TILT = math.radians(35)  # of the thrust that is asked for
# How fast the reference goes to a new command [m/s^2, m/s^2, rad/s^2].
HORIZONTAL_SLEW, VERTICAL_SLEW, YAW_SLEW = 5.0, 4.0, 4.0
VELOCITY_GAIN, VELOCITY_INTEGRAL = 2.6, 2.2  # [1/s, 1/s^2]
TILT_GAIN = 6.5  # [1/s], rad/s of body rate per rad of error
RATE_GAIN, RATE_INTEGRAL = 17.0, 12.0  # [1/s, 1/s^2]
YAW_GAIN, YAW_INTEGRAL = 6.0, 3.0  # [1/s, 1/s^2]
LAG = 0.17  # [s] that tilting takes: the velocity that is expected comes so much after the thrust
MAX_VERTICAL = 5.0  # [m/s^2]
MAX_INTEGRAL = 3.5, 6.0  # [m/s^2, rad/s^2]


class Controller:
    """Holds a command in a yaw-aligned frame: x forward, y left, z up, however the drone tilts.

    Args:
        model: a compiled `x2.xml` or `nano.xml`, from which mass, inertia and rotors are read.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        body = model.body("base_link").id
        self._mass = float(model.body_mass[body])
        self._inertia = tuple(model.body_inertia[body].tolist())
        arm_x, arm_y, _ = model.site("front_left").pos.tolist()
        ratio = abs(float(model.actuator("front_left").gear[5]))
        self._arm = 4 * arm_x, 4 * arm_y, 4 * ratio
        self._most = float(model.actuator("front_left").ctrlrange[1])
        self._dt = float(model.opt.timestep)
        self.reset(0.0, 0.0, 0.0)

    @property
    def hover(self) -> float:
        """Force of one rotor [N] that carries a quarter of the weight."""
        return self._mass * GRAVITY / 4

    def reset(self, vx: float, vy: float, vz: float) -> None:
        """Forget errors of the past; the reference starts at a velocity [m/s]."""
        self._reference = (vx, vy, vz, 0.0)
        self._expected = (vx, vy, vz)
        self._windup = (0.0, 0.0, 0.0)
        self._rate_windup = (0.0, 0.0, 0.0)

    def forces(
        self, command: tuple[float, float, float, float], qpos: list[float], qvel: list[float]
    ) -> tuple[float, float, float, float]:
        """Forces [N] to ask of the rotors, in the order of `ROTORS`, for one physics step.

        Args:
            command: vx, vy, vz [m/s] and yaw rate [rad/s].
            qpos, qvel: of the free joint, MuJoCo's: position, quaternion; velocity in the world's
                frame, rates in the body's.
        """
        w, i, j, k = qpos[3:7]
        # Rows of the rotation from body to world that are needed: third column, third row, yaw.
        up = 2 * (i * k + w * j), 2 * (j * k - w * i), 1 - 2 * (i * i + j * j)
        yaw = math.atan2(2 * (w * k + i * j), 1 - 2 * (j * j + k * k))
        acceleration, yaw_rate, spin = self._follow(command, qvel, math.cos(yaw), math.sin(yaw))
        ax, ay, az = acceleration
        lift = az + GRAVITY
        sideways = math.hypot(ax, ay)
        limit = lift * math.tan(MAX_TILT)
        if sideways > limit:
            ax, ay = ax * limit / sideways, ay * limit / sideways
        norm = math.sqrt(ax * ax + ay * ay + lift * lift)
        thrust = self._mass * max(ax * up[0] + ay * up[1] + lift * up[2], 0.2 * GRAVITY)
        wanted = ax / norm, ay / norm, lift / norm
        rates = self._turn(up, wanted, (w, i, j, k), yaw_rate)
        return self._mix(thrust, self._torques(rates, qvel[3:6], spin))

    def _follow(self, command, qvel, cos, sin) -> tuple[tuple[float, float, float], float, float]:
        """Acceleration [m/s^2, world], yaw rate [rad/s] and its change [rad/s^2] to ask for."""
        dt = self._dt
        x, y, z, r = self._reference
        dx, dy = command[0] - x, command[1] - y
        step, change = HORIZONTAL_SLEW * dt, math.hypot(dx, dy)
        share = step / change if change > step else 1.0
        dx, dy = dx * share, dy * share
        dz = max(-VERTICAL_SLEW * dt, min(VERTICAL_SLEW * dt, command[2] - z))
        dr = max(-YAW_SLEW * dt, min(YAW_SLEW * dt, command[3] - r))
        x, y, z, r = self._reference = (x + dx, y + dy, z + dz, r + dr)
        share, (px, py, pz) = min(dt / LAG, 1.0), self._expected
        px, py, pz = px + share * (x - px), py + share * (y - py), pz + 2 * share * (z - pz)
        self._expected = px, py, pz
        # The reference turns with the yaw: r x v on top of its own change.
        fx, fy = dx / dt - r * y, dy / dt + r * x
        ex, ey = cos * px - sin * py - qvel[0], sin * px + cos * py - qvel[1]
        ez = pz - qvel[2]
        wx, wy, wz = self._windup
        ax = cos * fx - sin * fy + VELOCITY_GAIN * ex + wx
        ay = sin * fx + cos * fy + VELOCITY_GAIN * ey + wy
        az = dz / dt + 1.5 * VELOCITY_GAIN * ez + wz
        # Integrate only what the drone can still answer to.
        gain, most = VELOCITY_INTEGRAL * dt, MAX_INTEGRAL[0]
        if math.hypot(ax, ay) < GRAVITY * math.tan(MAX_TILT):
            wx = max(-most, min(most, wx + gain * ex))
            wy = max(-most, min(most, wy + gain * ey))
        if abs(az) < MAX_VERTICAL:
            wz = max(-most, min(most, wz + gain * ez))
        self._windup = wx, wy, wz
        return (ax, ay, max(-MAX_VERTICAL, min(MAX_VERTICAL, az))), r, dr / dt

    @staticmethod
    def _turn(up, wanted, quaternion, yaw_rate: float) -> tuple[float, float, float]:
        """Body rates [rad/s] that turn the thrust by the shortest way, and yaw beside it."""
        w, i, j, k = quaternion
        ux, uy, uz = up
        vx, vy, vz = wanted
        cx, cy, cz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        sine = math.sqrt(cx * cx + cy * cy + cz * cz)
        angle = math.atan2(sine, ux * vx + uy * vy + uz * vz)
        gain = TILT_GAIN * angle / max(sine, 1e-9)
        # World to body: the columns of the rotation, times the axis and times z.
        bx = (1 - 2 * (j * j + k * k)) * cx + 2 * (i * j + w * k) * cy + 2 * (i * k - w * j) * cz
        by = 2 * (i * j - w * k) * cx + (1 - 2 * (i * i + k * k)) * cy + 2 * (j * k + w * i) * cz
        return (
            gain * bx + 2 * (i * k - w * j) * yaw_rate,
            gain * by + 2 * (j * k + w * i) * yaw_rate,
            uz * yaw_rate,
        )

    def _torques(self, rates, measured, spin: float) -> tuple[float, float, float]:
        """Torques [N m] for body rates [rad/s]; the yaw rate changes by `spin` [rad/s^2]."""
        ix, iy, iz = self._inertia
        p, q, r = measured
        ep, eq, er = rates[0] - p, rates[1] - q, rates[2] - r
        wp, wq, wr = self._rate_windup
        gain, most = RATE_INTEGRAL * self._dt, MAX_INTEGRAL[1]
        wp = max(-most, min(most, wp + gain * ep))
        wq = max(-most, min(most, wq + gain * eq))
        wr = max(-most, min(most, wr + YAW_INTEGRAL * self._dt * er))
        self._rate_windup = wp, wq, wr
        return (
            ix * (RATE_GAIN * ep + wp) + (iz - iy) * q * r,
            iy * (RATE_GAIN * eq + wq) + (ix - iz) * r * p,
            iz * (YAW_GAIN * er + wr + spin) + (iy - ix) * p * q,
        )

    def _mix(self, thrust: float, torques) -> tuple[float, float, float, float]:
        """Rotor forces [N]. What does not fit is given up in this order: yaw, thrust, tilt."""
        most = self._most
        pitch, roll, yaw = torques[1] / self._arm[0], torques[0] / self._arm[1], 0.0
        reach = abs(pitch) + abs(roll)
        if reach > most / 2:
            pitch, roll, reach = pitch * most / 2 / reach, roll * most / 2 / reach, most / 2
        mean = max(reach, min(most - reach, thrust / 4))
        slack = min(mean, most - mean) - reach
        yaw = max(-slack, min(slack, torques[2] / self._arm[2]))
        return (
            mean - pitch + roll - yaw,
            mean - pitch - roll + yaw,
            mean + pitch + roll + yaw,
            mean + pitch - roll - yaw,
        )
