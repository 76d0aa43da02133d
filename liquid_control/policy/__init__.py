"""A policy: vision head, liquid circuit and what its outputs mean; and the driver that runs it.

    policy = Policy(CommandSpec((CURVATURE, SPEED)))
    policy.save("runs/model")
    driver = Driver(Policy.load("runs/model"))
    decision = driver.step(frame, elapsed_s=1 / 30)   # numpy in, numpy out

On disk a policy is a folder with `model.safetensors` and `config.json`: nothing in it can run code.
"""

from liquid_control.policy.driver import Decision, Driver, frame_hash, recompute
from liquid_control.policy.policy import Policy

__all__ = ["Decision", "Driver", "Policy", "frame_hash", "recompute"]
