"""A privileged driver: it knows the road, where the car is on it, and the other cars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from liquid_control.envs.driving.road import Projection, Road
from liquid_control.envs.driving.traffic import Traffic

__all__ = ["Expert"]

DAMPING = 0.95
FOLLOWING = 6.0  # [m] at scale 1, one over the natural frequency per metre at low speed
# Natural frequency times delay that still damps: 1.4 rad/s at 0.2 s in the full-size car.
PHASE = 0.28  # [rad]
GAP = 0.5  # [m] at scale 1, to keep from a parked car; with less it passes slowly
SLOWEST = 0.4  # share of the cruising speed, past a parked car that leaves no gap
SWERVE = 16.0  # [m] at scale 1, over which the way round a parked car begins and ends
LOOK = 64  # places ahead at which the speed is planned


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
        w and damping d, since e'' = v^2 (k - k_lane). Speed: `cruise`, or less before curves.

        Args:
            place: of the vehicle on the road.
            yaw: of the vehicle [rad].
            speed: of the vehicle [m/s].
            cruise: speed where nothing asks for less [m/s].
            preview: time that the vehicle takes to answer to a command [s].
            time: of the traffic [s].
        """
        horizon = cruise**2 / (2 * self.deceleration) + speed * preview
        swerves = self._swerves(road, traffic, place.distance, horizon)
        along = speed * preview
        along_centre = along / max(1 - place.curvature * place.offset, 0.1)
        ways = np.array([0.0, along_centre])
        curvatures, offset, slope, bend = self._plan(road, swerves, place.distance, ways)
        psi = np.angle(np.exp(1j * (yaw - place.heading))) - np.arctan(slope[0])
        error = place.offset - offset[0] + along * np.sin(psi)
        gain = 1 / (FOLLOWING * road.style.scale)
        if along * gain > PHASE:
            gain = PHASE / along
        curvature = curvatures[1] + bend[1]
        curvature -= gain**2 * error + 2 * DAMPING * gain * np.sin(psi)
        curvature = float(np.clip(curvature, -self.max_curvature, self.max_curvature))

        ways = np.linspace(0.0, horizon, LOOK)
        curvatures, _, _, bend = self._plan(road, swerves, place.distance, ways)
        # The highest speed from which it can slow down for every curve ahead.
        bound = self.lateral_acceleration / np.maximum(np.abs(curvatures + bend), 1e-9)
        slow = np.sqrt(np.min(bound + 2 * self.deceleration * ways))
        for ahead, _, half, gap in swerves:
            if ahead > -half:
                share = np.clip(gap / (GAP * road.style.scale), SLOWEST, 1.0)
                before = max(ahead - half, 0.0)
                slow = min(slow, np.sqrt((share * cruise) ** 2 + 2 * self.deceleration * before))
        return curvature, float(min(cruise, slow))

    def _swerves(
        self, road: Road, traffic: Traffic | None, distance: float, horizon: float
    ) -> np.ndarray:
        """Parked cars nearby (P, 4), in metres: how far ahead, by how much to evade, for how long
        before and after their middle, and the gap that is left.

        It evades by as much as `GAP` asks for, as far as the lane is wide.
        """
        if traffic is None or not traffic.parked.any():
            return np.zeros((0, 4))
        scale, parked = road.style.scale, traffic.parked
        ahead = road.ahead(distance, traffic.distance[parked])
        half = 0.75 * traffic.sizes[parked, 0]
        room = road.style.lane_width / 2 - self.half_width
        intrusion = traffic.intrusion[parked]
        evade = np.clip(intrusion + GAP * scale - room, 0.0, max(room, 0.0))
        reach = half + SWERVE * scale
        near = (ahead > -reach) & (ahead < horizon + reach)
        return np.stack([ahead, evade, half, room + evade - intrusion], -1)[near]

    def _plan(
        self, road: Road, swerves: np.ndarray, distance: float, ways: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The line to drive at `ways` (W,) [m] after `distance`.

        Returns:
            (W,) each: curvature [1/m] that the road gives it, offset from the centre line [m], its
            slope and its second derivative [1/m]. It leaves the lane's middle by cosine ramps.
        """
        _, _, curvature = road.at(distance + ways)
        offset = np.full(len(ways), road.lane_offset)
        slope, bend = np.zeros((2, len(ways)))
        rate = np.pi / (SWERVE * road.style.scale)
        for ahead, evade, half, _ in swerves:
            # 1 beside the car, 0 from a ramp before and after it on.
            phase = np.clip((np.abs(ways - ahead) - half) * rate, 0.0, np.pi)
            offset += evade * (1 + np.cos(phase)) / 2
            slope -= evade * np.sin(phase) * np.sign(ways - ahead) * rate / 2
            bend -= evade * np.cos(phase) * ((phase > 0) & (phase < np.pi)) * rate**2 / 2
        return curvature / (1 - curvature * offset), offset, slope, bend
