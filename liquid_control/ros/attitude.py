"""Attitudes as quaternions (x, y, z, w), and velocities turned by them (REP-103).

Three frames of a vehicle appear in messages. `base_link` is fixed to it and tilts with it; the
yaw-aligned frame turns with its heading but stays level (what a drone's commands mean); the world
is `map` or `odom`, x east and y north where a receiver of satellites says where they are (ENU).
"""

from __future__ import annotations

import math

__all__ = ["heading", "in_body", "level", "quaternion", "turned"]

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


def quaternion(roll: float, pitch: float, yaw: float) -> Quaternion:
    """The attitude after yaw about z, then pitch about y, then roll about x [rad]."""
    (sr, cr), (sp, cp), (sy, cy) = (
        (math.sin(angle / 2), math.cos(angle / 2)) for angle in (roll, pitch, yaw)
    )
    return (
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    )


def heading(attitude: Quaternion) -> float:
    """Yaw [rad] in (-pi, pi], positive to the left; NaN where it is no attitude.

    A quaternion of zeros is none; others need not have length 1.
    """
    x, y, z, w = attitude
    size = x * x + y * y + z * z + w * w
    if not (math.isfinite(size) and size > 1e-6):
        return math.nan
    return math.atan2(2 * (w * z + x * y), w * w + x * x - y * y - z * z)


def turned(velocity: Vector, yaw: float) -> Vector:
    """A velocity of the yaw-aligned frame in the world, for a heading `yaw` [rad]."""
    (forward, left, up), sin, cos = velocity, math.sin(yaw), math.cos(yaw)
    return cos * forward - sin * left, sin * forward + cos * left, up


def level(velocity: Vector, attitude: Quaternion) -> Vector:
    """A velocity along base_link's own axes, in the yaw-aligned frame; NaN without an attitude."""
    return turned(_rotated(velocity, attitude), -heading(attitude))


def in_body(velocity: Vector, attitude: Quaternion) -> Vector:
    """A velocity of the yaw-aligned frame along base_link's own axes; the inverse of `level`."""
    x, y, z, w = attitude
    return _rotated(turned(velocity, heading(attitude)), (-x, -y, -z, w))


def _rotated(vector: Vector, attitude: Quaternion) -> Vector:
    """R v of the unit quaternion along `attitude` (v + 2 q x (q x v + w v), over its length)."""
    (a, b, c), (x, y, z, w) = vector, attitude
    scale = 2.0 / max(x * x + y * y + z * z + w * w, 1e-12)
    u, v, t = y * c - z * b + w * a, z * a - x * c + w * b, x * b - y * a + w * c
    return (
        a + scale * (y * t - z * v),
        b + scale * (z * u - x * t),
        c + scale * (x * v - y * u),
    )
