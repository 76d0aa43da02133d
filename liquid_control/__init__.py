"""Liquid networks on robots: a camera frame goes in, a safe command comes out.

The rooms of this package import one another in one direction only, lowest first: errors, files;
command, safety, camera; circuits, perception; attention, policy; data; deploy; rollout; evaluation,
analysis; training; ros; cli. `envs` stands beside and imports only errors, command and camera.
"""

__version__ = "0.1.0"
