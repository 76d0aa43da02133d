"""A policy node whose memory is damaged while it drives, as a text on `damage` says.

"state": a neuron is pushed out of its bounds; "weight": a reversal potential becomes 500, as when
one bit of its exponent flips; "nan": it becomes no number; "bit": the lowest bit of a weight of the
head flips; "mend": all weights as they were.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from std_msgs.msg import String

from liquid_control.ros import policy_node
from liquid_control.ros.runtime import Stop, leave, run

NEURON, SYNAPSE = 7, 3


def create(stop: Stop) -> policy_node.PolicyNode:
    node = policy_node.create(stop)
    driver = node._driver
    circuit = driver.policy.circuit
    policy = driver.policy
    shipped = {name: values.clone() for name, values in policy.state_dict().items()}

    def damage(message: String) -> None:
        if message.data == "state":
            state = np.zeros(circuit.state_size, np.float32)
            state[NEURON] = 3.0
            driver.restore(state)
        elif message.data == "mend":
            policy.load_state_dict(shipped)
        elif message.data == "bit":
            next(policy.head.parameters()).data.view(torch.int32).flatten()[5] ^= 1
        else:
            with torch.no_grad():
                circuit.recurrent.reversal[SYNAPSE] = {"weight": 500.0, "nan": torch.nan}[
                    message.data
                ]

    node.create_subscription(String, "damage", damage, 10)
    return node


if __name__ == "__main__":
    leave(run(create, sys.argv))
