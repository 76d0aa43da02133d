"""A policy: vision head, liquid circuit and what its outputs mean; and the driver that runs it.

    policy = Policy(CommandSpec((CURVATURE, SPEED)))
    policy.save("runs/model")
    driver = Driver(Policy.load("runs/model"))
    decision = driver.step(frame, elapsed_s=1 / 30)   # numpy in, numpy out

On disk a policy is a folder with `model.safetensors` and `config.json`: nothing in it can run code.
"""

from typing import TYPE_CHECKING, Any

from liquid_control.policy.decision import Decision, frame_hash

if TYPE_CHECKING:
    from liquid_control.policy.driver import Driver, recompute
    from liquid_control.policy.policy import Policy

__all__ = ["Decision", "Driver", "Policy", "frame_hash", "recompute"]


def __getattr__(name: str) -> Any:
    """Load torch only for what needs it: a robot that drives from an export does without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from liquid_control.policy import driver

    return getattr(driver, name)
