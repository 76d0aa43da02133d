"""A privileged driver: it knows the track, the racing line, and what every tyre does.

Everything follows from the current state, so that it may be asked at any time, or twice.
"""

from __future__ import annotations

import numpy as np
from gymnasium.envs.box2d.car_dynamics import Car
from gymnasium.envs.box2d.car_racing import FPS

from liquid_control.envs.car_racing.line import RacingLine
from liquid_control.envs.car_racing.track import Place, Track

__all__ = ["Expert"]

# The car, as car_dynamics.py builds it. A tyre pushes with 82 N per m/s of slip, up to 400 N.
STIFFNESS, GRIP = 82.0, 400.0  # [N s/m], [N]
FRONT, REAR = 1.68, 1.56  # [m], axles from the centre of mass
MASS, INERTIA = 7.3, 19.7  # [kg], [kg m^2], wheels included
WHEEL_RADIUS = 0.54  # [m]
# Four wheels of 1.6 kg m^2 speed up with the car: 11 kg more where the engine pushes.
DRIVEN_MASS = 18.3  # [kg]
ENGINE = 500.0  # [rad^2/s^2], what full gas adds to omega times (omega + 5) in a frame
BRAKE = 15.0  # [rad/s], what full brake takes from a wheel's rotation in a frame
LOCK = 0.4  # [rad]

# Found by random search over 8 seeds that no measurement uses.
FREQUENCY, DAMPING = 7.1, 0.94  # [rad/s], of the way back to the line
REACTION = 0.014  # [s], after which a command has its effect
PREVIEW = 0.14  # [s], how far ahead the line's curvature is taken
YAW_TIME = 0.0225  # [s], in which the yaw rate is corrected: about a frame
CAUTION = 0.8  # share of the tyres' grip that coming back to the line may take
SPEED_GAIN = 0.32  # share of a speed error to be corrected in a frame
SLIP = 1.1  # rear tyres are driven a little beyond their grip, since gas rises slowly


class Expert:
    """Drives the racing line of a track as fast as the tyres allow.

    Steering in two stages: the curvature that brings the car back to the line as a damped
    oscillator would, then the front wheel angle whose tyre force gives that yaw rate within a
    frame. Gas and brake set the slip of the tyres that the wanted acceleration needs, within what
    cornering leaves of their grip.

    Args:
        track: the road's centre line.
        pace: share of the fastest speeds to drive at.
    """

    def __init__(self, track: Track, pace: float = 1.0) -> None:
        self._racing_line = RacingLine(track, pace)

    def act(self, car: Car, place: Place) -> np.ndarray:
        """Steering (left positive), gas and brake, float32 (3,).

        Args:
            car: CarRacing's.
            place: of the car on the track.
        """
        line = self._racing_line.line
        (x, y), (vx, vy) = car.hull.position, car.hull.linearVelocity
        yaw, yaw_rate = car.hull.angle + np.pi / 2, car.hull.angularVelocity
        speed = float(np.hypot(vx, vy))
        forward = vx * np.cos(yaw) + vy * np.sin(yaw)
        sideward = vy * np.cos(yaw) - vx * np.sin(yaw)
        course = (np.arctan2(vy, vx) if forward > 2.0 else yaw) + REACTION * yaw_rate
        ahead = line.locate(
            x + REACTION * vx, y + REACTION * vy, self._racing_line.near(place.distance)
        )
        curvature, recovery = self._way_back(ahead, course, speed)
        rear = float(np.clip(STIFFNESS * (REAR * yaw_rate - sideward), -GRIP, GRIP))
        steering = _steering(curvature, forward, sideward, yaw_rate, 2 * rear)
        limit = min(recovery, line.at(ahead.distance, self._racing_line.speeds))
        # Sliding is too fast, too; rolling backwards is too slow.
        missing = limit - (speed if forward > 0 else forward)
        return np.array([steering, *_pedals(car, forward, missing, rear)], np.float32)

    def _way_back(self, ahead: Place, course: float, speed: float) -> tuple[float, float]:
        """Path curvature [1/m] back to the line, and the speed [m/s] at which tyres can hold it.

        Near the line lateral error e and course error p follow e'' + 2 d w e' + w^2 e = 0; from far
        away the line is approached straight.
        """
        speed = max(speed, 5.0)
        line = self._racing_line.line
        approach = np.arctan(FREQUENCY / (2 * DAMPING * speed) * ahead.offset)
        error = np.angle(np.exp(1j * (course - ahead.heading + approach)))
        turn = -2 * DAMPING * FREQUENCY * np.sin(np.clip(error, -np.pi / 2, np.pi / 2))
        curvature = line.at(ahead.distance + PREVIEW * speed, line.curvature) + turn / speed
        most = min(4 * GRIP / MASS / speed**2, 0.2)
        recovery = CAUTION * 4 * GRIP / MASS / max(abs(turn), 0.1)
        return float(np.clip(curvature, -most, most)), recovery


def _steering(
    curvature: float, forward: float, sideward: float, yaw_rate: float, rear_force: float
) -> float:
    """Front wheel angle [rad]: where the wheels go, plus the slip angle that gives the force."""
    forward = max(forward, 2.0)
    turn = INERTIA * (curvature * forward - yaw_rate) / YAW_TIME
    force = np.clip((turn + REAR * rear_force) / FRONT, -2 * GRIP, 2 * GRIP)
    angle = np.arctan2(sideward + FRONT * yaw_rate, forward) + force / (2 * STIFFNESS * forward)
    return float(np.clip(angle, -LOCK, LOCK))


def _pedals(car: Car, forward: float, missing: float, rear: float) -> tuple[float, float]:
    """Gas and brake of a car at a speed `forward` with so much speed `missing` [m/s].

    Args:
        rear: lateral force of a rear tyre [N].
    """
    acceleration = SPEED_GAIN * FPS * missing
    if acceleration > 0:
        left = np.sqrt(max((SLIP * GRIP) ** 2 - rear**2, 0.0))
        slip = min(acceleration * DRIVEN_MASS / 2, left) / STIFFNESS
        omega = max(wheel.omega for wheel in car.wheels[2:])
        wanted = (forward + slip) / WHEEL_RADIUS
        return float(np.clip((wanted - omega) * (abs(omega) + 5.0) / ENGINE, 0.0, 1.0)), 0.0
    slip = min(-acceleration * MASS / 4, SLIP * GRIP) / STIFFNESS
    omega = max(wheel.omega for wheel in car.wheels)
    wanted = (forward - slip) / WHEEL_RADIUS
    # Below 0.9: from there on the wheels lock, and locked wheels do not steer.
    return 0.0, float(np.clip((omega - wanted) / BRAKE, 0.0, 0.89))
