"""Geometry, limits and default camera of the vehicles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["SPECS", "VEHICLES", "VehicleSpec"]


@dataclass(frozen=True)
class VehicleSpec:
    """Geometry and limits of a vehicle, in SI units; frames as in REP-105.

    Attributes:
        name: of the vehicle.
        mjcf: its MuJoCo model.
        wheelbase, half_track, body_length, body_half_width, wheel_radius: [m].
        body_middle: from base_link ahead to the middle of the body [m].
        max_curvature: of a path that is asked for [1/m].
        max_speed: [m/s], also what full throttle reaches on flat ground.
        max_wheel_angle: of the virtual middle front wheel at full lock [rad].
        cruise: a usual speed [m/s].
        max_acceleration, max_deceleration: with which a target speed is followed [m/s^2].
        full_throttle: acceleration at full throttle from standstill [m/s^2].
        full_brakes: deceleration at throttle -1 on a dry road [m/s^2].
        drag: air resistance / speed^2 [N s^2/m^2].
        steering_rate: fastest change of the wheel angle [rad/s].
        camera_position: default mount in base_link [m].
        camera_pitch: its tilt, positive down [rad].
        camera_fovy: its vertical field of view [deg].
        scale: size of the vehicle's world; 1 is full size.
    """

    name: str
    mjcf: Path
    wheelbase: float
    half_track: float
    body_length: float
    body_middle: float
    body_half_width: float
    wheel_radius: float
    max_curvature: float
    max_speed: float
    max_wheel_angle: float
    cruise: float
    max_acceleration: float
    max_deceleration: float
    full_throttle: float
    full_brakes: float
    drag: float
    steering_rate: float
    camera_position: tuple[float, float, float]
    camera_pitch: float
    camera_fovy: float
    scale: float


SPECS: dict[str, VehicleSpec] = {
    "car": VehicleSpec(
        name="car",
        mjcf=Path(__file__).with_name("car.xml"),
        wheelbase=2.7,
        half_track=0.76,
        body_length=4.3,
        body_middle=1.35,
        body_half_width=0.88,
        wheel_radius=0.32,
        # A radius of 16.7 m on the road; full lock, for steering by share, is one of 6.3 m.
        max_curvature=0.06,
        max_speed=15.0,
        max_wheel_angle=0.405,
        cruise=30 / 3.6,
        max_acceleration=2.5,
        max_deceleration=5.0,
        full_throttle=3.5,
        full_brakes=8.0,
        drag=0.42,
        steering_rate=0.8,
        # Where a windscreen camera sits; 81 degrees wide at 200 x 78.
        camera_position=(1.6, 0.0, 1.35),
        camera_pitch=float(np.deg2rad(9.0)),
        camera_fovy=37.0,
        scale=1.0,
    ),
    "rc": VehicleSpec(
        name="rc",
        mjcf=Path(__file__).with_name("rc_car.xml"),
        wheelbase=0.26,
        half_track=0.08,
        body_length=0.4,
        body_middle=0.13,
        body_half_width=0.093,
        wheel_radius=0.033,
        max_curvature=1.4,
        max_speed=4.0,
        max_wheel_angle=0.35,
        cruise=1.2,
        max_acceleration=2.5,
        max_deceleration=5.0,
        full_throttle=4.0,
        full_brakes=7.0,
        drag=0.012,
        steering_rate=6.0,
        # On the roll cage; as wide as a Donkeycar's, 114 degrees at 200 x 78, 77 at 160 x 120.
        camera_position=(0.18, 0.0, 0.167),
        camera_pitch=float(np.deg2rad(18.0)),
        camera_fovy=62.0,
        scale=0.1,
    ),
}
VEHICLES = tuple(SPECS)
