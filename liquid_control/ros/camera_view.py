"""The policy node's camera setup: parameters and `camera_info` make the view that a policy sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from liquid_control.camera import Calibration, CameraSetup, RobotCamera, View
from liquid_control.errors import InputError
from liquid_control.ros.runtime import SENSOR

__all__ = ["CameraView"]


class CameraView:
    """Subscribes `camera_info` where the lens is to be undone.

    The first calibration that makes sense holds as long as the node is active: a view that changes
    while a vehicle drives is a fault.

    Args:
        node: the policy node.
        view: by its parameters.
        setup: of the policy.
        calibrated: called with the calibration once it is there.

    Raises:
        InputError: the view does not fit the policy.
    """

    def __init__(
        self,
        node: Node,
        view: View,
        setup: CameraSetup,
        calibrated: Callable[[Calibration], None],
    ) -> None:
        self._node, self._view, self._setup, self._calibrated = node, view, setup, calibrated
        self._calibration: Calibration | None = None
        self._camera: RobotCamera | None = None
        self._trouble = ""
        self._subscription = None
        if not view.undistort:
            self._camera = RobotCamera(view, setup)
            return
        self._subscription = node.create_subscription(
            CameraInfo, "camera_info", self._on_info, SENSOR
        )
        self._trouble = (
            f"No camera_info came on {self._subscription.topic_name}, which undistort needs; start "
            "the camera's driver with its calibration or set undistort to false."
        )

    def _on_info(self, message: CameraInfo) -> None:
        try:
            told = Calibration.of(message)
        except InputError as error:
            self._trouble = str(error)
            return
        if self._calibration is None:
            self._calibration = told
            self._camera = RobotCamera(self._view, self._setup, told)
            self._calibrated(told)
        self._trouble = ""
        if told != self._calibration:
            self._trouble = (
                f"The camera_info on {self._subscription.topic_name} has changed since the first; "
                "deactivate and activate the node to drive by the new one."
            )

    def show(self, pixels: np.ndarray) -> np.ndarray:
        """What the policy sees of a picture, uint8 RGB.

        Raises:
            InputError: no calibration, another than at first, or a picture that does not fit.
        """
        if self._trouble:
            raise InputError(self._trouble)
        return self._camera.apply(pixels)

    def destroy(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
