"""How a speed may change: with bounded acceleration, and with bounded jerk.

The jerk-limited ramp is the time-optimal one from (speed, acceleration) to (target, 0): jerk up to
the highest acceleration needed, hold it, jerk back to 0. It is solved in closed form and read at
the elapsed time, so its limits hold for steps of any length and for targets that keep changing
(Kröger and Wahl, "Online Trajectory Generation", IEEE Transactions on Robotics 26(1), 2010).
"""

from __future__ import annotations

import math

__all__ = ["approach", "jerk_limited"]


def approach(value: float, target: float, step: float) -> float:
    """`value` moved towards `target`, by at most `step`."""
    return target if abs(target - value) <= step else value + math.copysign(step, target - value)


def jerk_limited(
    speed: float,
    acceleration: float,
    target: float,
    elapsed: float,
    *,
    growth: float,
    braking: float,
    jerk: float,
) -> tuple[float, float]:
    """Speed [m/s] and acceleration [m/s^2] after `elapsed` [s] on the way to `target` [m/s].

    A change of direction comes to a halt first. An acceleration at the start that cannot be taken
    back before the halt (a stop ramp knows no jerk limit) ends with the halt.

    Args:
        growth: highest growth of |speed| [m/s^2], at least 0.
        braking: steepest decline of |speed| [m/s^2], greater than 0.
        jerk: fastest change of the acceleration [m/s^3], greater than 0.
    """
    side = math.copysign(1.0, speed or acceleration or target)
    speed, target = side * speed, max(side * target, 0.0)
    acceleration = min(max(side * acceleration, -braking), growth)
    # Where the speed ends if the acceleration is taken back to 0 from now on.
    ending = speed + acceleration * abs(acceleration) / (2.0 * jerk)
    way = 1.0 if target >= ending else -1.0
    highest = growth if way > 0.0 else braking
    change, start = way * (target - speed), way * acceleration
    peak = min(math.sqrt(max(jerk * change + start * start / 2.0, 0.0)), highest)
    peak = max(peak, start)
    rest = change - (peak * peak - start * start / 2.0) / jerk
    hold = max(rest, 0.0) / peak if peak > 0.0 else math.inf
    phases = (((peak - start) / jerk, way * jerk), (hold, 0.0), (peak / jerk, -way * jerk))
    for duration, rate in phases:
        time = min(duration, elapsed)
        speed += acceleration * time + rate * time * time / 2.0
        acceleration += rate * time
        elapsed -= time
        if time < duration:
            break
    else:
        speed, acceleration = target, 0.0
    if speed < 0.0:
        speed = acceleration = 0.0
    return side * speed, side * acceleration
