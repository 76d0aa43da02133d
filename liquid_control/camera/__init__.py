"""Everything that happens to an image outside a network, in numpy and OpenCV."""

from liquid_control.camera.calibration import Calibration
from liquid_control.camera.colour import cut_out, other_colours, recolour
from liquid_control.camera.distance import from_afar
from liquid_control.camera.effects import CameraEffects, CameraPipeline
from liquid_control.camera.ground_shadow import GroundShadows, TreeShadow
from liquid_control.camera.headlights import Headlights
from liquid_control.camera.lens import Intrinsics, Lens, Undistorter, intrinsics
from liquid_control.camera.light import gamma, shadow_band
from liquid_control.camera.motion import MotionBlur
from liquid_control.camera.noise import gaussian
from liquid_control.camera.setup import CameraSetup
from liquid_control.camera.shake import shaken
from liquid_control.camera.view import RobotCamera, View
from liquid_control.camera.viewpoint import Viewpoint
from liquid_control.camera.weather import LensDrops, Precipitation, glare

__all__ = [
    "Calibration",
    "CameraEffects",
    "CameraPipeline",
    "CameraSetup",
    "GroundShadows",
    "Headlights",
    "Intrinsics",
    "Lens",
    "LensDrops",
    "MotionBlur",
    "Precipitation",
    "RobotCamera",
    "TreeShadow",
    "Undistorter",
    "View",
    "Viewpoint",
    "cut_out",
    "from_afar",
    "gamma",
    "gaussian",
    "glare",
    "intrinsics",
    "other_colours",
    "recolour",
    "shadow_band",
    "shaken",
]
