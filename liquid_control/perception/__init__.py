"""Convolutional heads: from camera frames to the inputs of a circuit."""

from liquid_control.perception.head import VisionHead, standardise

__all__ = ["VisionHead", "standardise"]
