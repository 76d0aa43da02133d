"""The policy node in a process whose weights turn NaN by SIGUSR1, and are as before by SIGUSR2.

As a memory fault or a diverging update would leave them.
"""

from __future__ import annotations

import signal

import torch

from liquid_control.ros import policy_node
from liquid_control.ros.runtime import Stop, leave, run


def create(stop: Stop) -> policy_node.PolicyNode:
    node = policy_node.create(stop)
    weights = next(node._driver.policy.head.parameters()).data
    good = weights.clone()
    signal.signal(signal.SIGUSR1, lambda *_: weights.fill_(torch.nan))
    signal.signal(signal.SIGUSR2, lambda *_: weights.copy_(good))
    return node


if __name__ == "__main__":
    leave(run(create))
