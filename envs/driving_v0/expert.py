"""A privileged driver: it knows the road and where the car is on it."""

from __future__ import annotations

import numpy as np

from liquid_control.envs.driving_v0.road import LANE_WIDTH, Projection, Road
from liquid_control.envs.driving_v0.vehicle import MAX_CURVATURE, Pose

__all__ = ["curvature"]

# With e'' = v^2 (k - k_road) the gains give a natural frequency of 1.4 rad/s at 30 km/h and a
# damping ratio of about 0.95.
LATERAL_GAIN = 0.028  # [1/m per m]
HEADING_GAIN = 0.32  # [1/m per rad]
PREVIEW = 0.20  # [s], what steering servo and tyres take to answer


def curvature(road: Road, place: Projection, pose: Pose) -> float:
    """Curvature [1/m] that follows the middle of the right-hand lane.

    Feed-forward of the lane's curvature `PREVIEW` seconds ahead, and feedback of the lateral and
    the heading error, extrapolated by the same time.
    """
    ahead = place.distance + pose.speed * PREVIEW
    _, _, road_curvature = road.at(ahead)
    # The right-hand lane runs at offset -LANE_WIDTH / 2, on a circle of its own radius.
    lane_curvature = float(road_curvature) / (1 + float(road_curvature) * LANE_WIDTH / 2)
    heading = np.angle(np.exp(1j * (pose.yaw - place.heading)))
    lateral = place.offset + LANE_WIDTH / 2 + pose.speed * PREVIEW * np.sin(heading)
    asked = lane_curvature - LATERAL_GAIN * lateral - HEADING_GAIN * np.sin(heading)
    return float(np.clip(asked, -MAX_CURVATURE, MAX_CURVATURE))
