"""Everything that happens to an image outside a network, in numpy and OpenCV."""

from liquid_control.camera.light import gamma, shadow_band
from liquid_control.camera.noise import gaussian
from liquid_control.camera.setup import CameraSetup

__all__ = ["CameraSetup", "gamma", "gaussian", "shadow_band"]
