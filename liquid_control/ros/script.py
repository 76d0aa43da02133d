"""How the scripts of `ros2 run` and `ros2 launch` begin; light, so that it is there at once."""

from __future__ import annotations

import importlib
import os

__all__ = ["start"]


def start(node: str) -> None:
    """Run a node's `main` and end the process with its exit code.

    Ctrl-C while the node's modules still load, which takes seconds, is a clean end, too.

    Args:
        node: as in "policy" for liquid_control/ros/policy_node.py.
    """
    try:
        main = importlib.import_module(f"liquid_control.ros.{node}_node").main
        # Not sys.exit: see runtime.leave.
        leave = importlib.import_module("liquid_control.ros.runtime").leave
    except KeyboardInterrupt:
        os._exit(0)
    leave(main())
