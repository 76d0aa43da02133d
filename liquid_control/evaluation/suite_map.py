"""The road from above around a vehicle, drawn for a screen: heading up, with the driven line."""

from __future__ import annotations

import cv2
import numpy as np

from liquid_control.evaluation.dashboard import ASKED, DRIVEN, INK, MUTED, PANEL
from liquid_control.evaluation.screen_text import write
from liquid_control.evaluation.suite_roads import Course

__all__ = ["RoadMap"]

ROAD = (66, 76, 86)
FINE = 4  # bits below a pixel in OpenCV's coordinates
# A map shows so many widths of its road, or so many metres where there is none.
WIDTHS, METRES = 9.0, 24.0
AHEAD = 0.68  # share of the map that lies ahead of the vehicle
CAR = np.array([[2.2, 0.9], [2.2, -0.9], [-2.2, -0.9], [-2.2, 0.9]])  # [m], of a road 8 m wide


class RoadMap:
    """Draws maps of one course.

    Args:
        course: of the episode.
        width, height: of the picture [px].
    """

    def __init__(self, course: Course, width: int, height: int) -> None:
        self._course, self._size = course, (width, height)
        across = METRES / WIDTHS
        if len(course.left):
            across = float(np.median(np.linalg.norm(course.left - course.right, axis=1)))
        self._scale = height / (WIDTHS * across)
        self._car = CAR * across / 8.0
        self._bar = 10.0 if WIDTHS * across > 40 else 1.0

    def draw(self, x: float, y: float, yaw: float, trace: np.ndarray) -> np.ndarray:
        """uint8 RGB (height, width, 3) around a pose [m, rad]; `trace` (N, 2) was driven [m]."""
        width, height = self._size
        picture = np.empty((height, width, 3), np.uint8)
        picture[:] = PANEL
        forward = np.array([np.cos(yaw), np.sin(yaw)])
        left = np.array([-forward[1], forward[0]])
        middle = np.array([width / 2, AHEAD * height])

        def place(points: np.ndarray) -> np.ndarray:
            """Pixels as OpenCV's fixed-point numbers."""
            away = points - (x, y)
            pixels = np.stack([-(away @ left), -(away @ forward)], axis=-1) * self._scale + middle
            return np.rint(pixels * 2**FINE).astype(np.int32)

        course, reach = self._course, 1.2 * max(self._size) / self._scale
        if len(course.lane) > 1:
            near = np.linalg.norm(course.lane - (x, y), axis=1) < reach
            for quad in place(course.quads[near[:-1]]):
                cv2.fillConvexPoly(picture, quad, ROAD, cv2.LINE_AA, FINE)
            pieces = place(np.stack([course.lane[:-1], course.lane[1:]], axis=1)[near[:-1]])
            cv2.polylines(picture, list(pieces[::3]), False, MUTED, 1, cv2.LINE_AA, FINE)
        for goal in course.goals:
            centre = tuple(map(int, place(goal)))
            cv2.circle(picture, centre, 9 << FINE, ASKED, 2, cv2.LINE_AA, FINE)
        if len(trace) > 1:
            cv2.polylines(picture, [place(trace)], False, DRIVEN, 2, cv2.LINE_AA, FINE)
        body = place(self._car @ np.stack([forward, left]) + (x, y))
        cv2.fillConvexPoly(picture, body, INK, cv2.LINE_AA, FINE)
        end = width - 14
        cv2.line(
            picture, (round(end - self._bar * self._scale), height - 14), (end, height - 14), INK
        )
        write(picture, (end, height - 20), f"{self._bar:g} m", INK, 13, align="right")
        return picture
