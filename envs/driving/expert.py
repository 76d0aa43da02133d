"""A privileged driver: it knows the road, where the car is on it, and the other cars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_control.envs.driving.road import Projection, Road
from liquid_control.envs.driving.traffic import Traffic

__all__ = ["Expert"]

DAMPING = 0.95
FOLLOWING = 6.0  # [m] at scale 1, way over which an error falls by e at low speed
# Natural frequency times delay that still damps: 1.4 rad/s at 0.2 s in the full-size car.
PHASE = 0.28  # [rad]
GAP = 0.5  # [m] at scale 1, to keep from a parked car
SWERVE = 16.0  # [m] at scale 1, over which the way round a parked car begins and ends
LOOK = 24  # places ahead at which the speed is planned


@dataclass(frozen=True)
class Expert:
    """Drives in the middle of its lane, slower in sharp curves, and round parked cars.

    Attributes:
        max_curvature: of the vehicle [1/m].
        half_width: of its body [m].
        lateral_acceleration: limit in curves [m/s^2].
        deceleration: with which it slows down for them [m/s^2].
    """

    max_curvature: float = 0.06
    half_width: float = 0.9
    lateral_acceleration: float = 4.0
    deceleration: float = 1.5

    def command(
        self,
        road: Road,
        place: Projection,
        yaw: float,
        speed: float,
        cruise: float,
        preview: float,
        traffic: Traffic | None = None,
        time: float = 0.0,
    ) -> tuple[float, float]:
        """Path curvature [1/m] and target speed [m/s].

        With the lateral error e and the heading error psi, both `preview` seconds ahead,
        k = k_lane - (w / v)^2 e - 2 d (w / v) sin(psi): a second-order system of natural frequency
        w and damping d, since e'' = v^2 (k - k_lane).

        Args:
            place: of the vehicle on the road.
            yaw: of the vehicle [rad].
            speed: of the vehicle [m/s].
            cruise: speed where nothing asks for less [m/s].
            preview: time that the vehicle takes to answer to a command [s].
            time: of the traffic [s].
        """
        along = speed * preview
        ahead = place.distance + along / max(1 - place.curvature * place.offset, 0.1)
        offset, slope, bend = self._plan(road, traffic, np.array([place.distance, ahead]))
        psi = np.angle(np.exp(1j * (yaw - place.heading))) - np.arctan(slope[0])
        error = place.offset - offset[0] + along * np.sin(psi)
        gain = 1 / (FOLLOWING * road.style.scale)
        if speed * gain * preview > PHASE:
            gain = PHASE / (speed * preview)
        curvature = self._curvature(road, ahead, offset[1]) + bend[1]
        curvature -= gain**2 * error + 2 * DAMPING * gain * np.sin(psi)
        limit = self.max_curvature
        return float(np.clip(curvature, -limit, limit)), self._speed(road, place, cruise, traffic)

    def _speed(
        self, road: Road, place: Projection, cruise: float, traffic: Traffic | None
    ) -> float:
        """Highest speed [m/s] from which it can slow down for every curve ahead."""
        way = np.linspace(0, cruise**2 / (2 * self.deceleration), LOOK)
        offset, _, bend = self._plan(road, traffic, place.distance + way)
        curvature = np.abs(self._curvature(road, place.distance + way, offset) + bend)
        bound = self.lateral_acceleration / np.maximum(curvature, 1e-9)
        return float(min(cruise, np.sqrt(np.min(bound + 2 * self.deceleration * way))))

    def _plan(
        self, road: Road, traffic: Traffic | None, distance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Offset [m] of the line to drive, its slope and its second derivative [1/m].

        Beside parked cars the line leaves the lane's middle by cosine ramps, as far as `GAP` asks
        for and the lane is wide.
        """
        offset, slope, bend = (
            np.full(len(distance), road.lane_offset),
            *np.zeros((2, len(distance))),
        )
        if traffic is None or not traffic.parked.any():
            return offset, slope, bend
        scale, lane = road.style.scale, road.style.lane_width
        parked = traffic.parked
        gap = lane / 2 - self.half_width
        evade = np.clip(traffic.intrusion[parked] + GAP * scale - gap, 0.0, max(gap, 0.0))
        way = road.ahead(distance[:, None], traffic.distance[parked])
        ramp, flat = SWERVE * scale, 0.75 * traffic.sizes[parked, 0]
        # 1 beside the car, 0 from `ramp` before and after it on.
        phase = np.clip((np.abs(way) - flat) / ramp, 0.0, 1.0) * np.pi
        rate = np.pi / ramp
        offset = offset + (evade * (1 + np.cos(phase)) / 2).sum(-1)
        slope = (evade * np.sin(phase) * np.sign(way) * rate / 2).sum(-1)
        inside = (phase > 0) & (phase < np.pi)
        bend = (-evade * np.cos(phase) * inside * rate**2 / 2).sum(-1)
        return offset, slope, bend

    @staticmethod
    def _curvature(road: Road, distance: np.ndarray | float, offset: np.ndarray) -> np.ndarray:
        """Curvature [1/m] of the line that runs `offset` metres beside the centre line."""
        _, _, curvature = road.at(distance)
        return curvature / (1 - curvature * offset)
