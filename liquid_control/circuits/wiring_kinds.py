"""Wirings beside the neural circuit policy: fully connected, random, from a matrix, sized for you.

Those without layers count the neurons that are no outputs as inter neurons.
"""

from __future__ import annotations

import numpy as np

from liquid_control.circuits.wiring import Wiring, ncp

__all__ = ["auto_ncp", "from_adjacency", "fully_connected", "random_sparse"]

# Two of three synapses excite, as in the fully connected and random wirings of ncps.
POLARITIES = np.array([-1, 1, 1], np.int8)


def fully_connected(
    inputs: int,
    units: int,
    outputs: int | None = None,
    self_connections: bool = True,
    seed: int = 0,
) -> Wiring:
    """Every input and every neuron feeds every neuron; the last `outputs` are motor neurons.

    Raises:
        ValueError: more outputs than units.
    """
    outputs = _checked_outputs(inputs, units, outputs)
    rng = np.random.default_rng(seed)
    adjacency = rng.choice(POLARITIES, (units, units))
    if not self_connections:
        np.fill_diagonal(adjacency, 0)
    sensory = rng.choice(POLARITIES, (inputs, units))
    return Wiring(inputs, units - outputs, 0, outputs, sensory, adjacency)


def random_sparse(
    inputs: int,
    units: int,
    outputs: int | None = None,
    sparsity: float = 0.0,
    seed: int = 0,
) -> Wiring:
    """As `fully_connected`, of whose synapses the share `sparsity` is missing at random.

    Drawn without repetition: round((1 - sparsity) units^2) synapses between neurons and
    round((1 - sparsity) inputs * units) from the inputs, exactly.

    Raises:
        ValueError: more outputs than units, or a sparsity outside of [0, 1).
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"The sparsity must lie in 0 to 1, 1 excluded, got {sparsity}.")
    outputs = _checked_outputs(inputs, units, outputs)
    rng = np.random.default_rng(seed)
    matrices = []
    for sources in (inputs, units):
        matrix = np.zeros(sources * units, np.int8)
        count = round((1 - sparsity) * matrix.size)
        matrix[rng.choice(matrix.size, count, replace=False)] = rng.choice(POLARITIES, count)
        matrices.append(matrix.reshape(sources, units))
    return Wiring(inputs, units - outputs, 0, outputs, *matrices)


def from_adjacency(sensory: np.ndarray, adjacency: np.ndarray, outputs: int) -> Wiring:
    """Any wiring; the last `outputs` neurons are its motor neurons.

    Args:
        sensory: (inputs, units) [from, to], positive excitatory, negative inhibitory, 0 no synapse.
        adjacency: (units, units), likewise.
        outputs: number of motor neurons.

    Raises:
        ValueError: shapes that do not fit, entries that are not finite, more outputs than units.
    """
    sensory, adjacency = np.asarray(sensory), np.asarray(adjacency)
    if sensory.ndim != 2 or adjacency.shape != (sensory.shape[1], sensory.shape[1]):
        raise ValueError(
            "A wiring needs matrices of shapes (inputs, units) and (units, units), got "
            f"{sensory.shape} and {adjacency.shape}."
        )
    if not all(np.issubdtype(each.dtype, np.number) for each in (sensory, adjacency)):
        raise ValueError(
            "The entries of a wiring's matrices must be numbers, got "
            f"{sensory.dtype} and {adjacency.dtype}."
        )
    if not (np.isfinite(sensory).all() and np.isfinite(adjacency).all()):
        raise ValueError("The entries of a wiring's matrices must be finite numbers.")
    inputs, units = sensory.shape
    outputs = _checked_outputs(inputs, units, outputs)
    return Wiring(inputs, units - outputs, 0, outputs, np.sign(sensory), np.sign(adjacency))


def auto_ncp(inputs: int, units: int, outputs: int, sparsity: float = 0.5, seed: int = 0) -> Wiring:
    """A neural circuit policy wiring from its size alone, by the proportions of ncps' AutoNCP.

    Of the neurons that are no outputs, 40 % are command neurons. Each fan-out is the share
    1 - sparsity of what its layer can hold, or what it takes to reach every neuron.

    Raises:
        ValueError: fewer than 3 neurons more than outputs, or a sparsity outside of 0 to 0.9.
    """
    if not 1 <= outputs < units - 2:
        raise ValueError(
            f"AutoNCP needs 1 or more outputs and at least 3 units more than these, got {units} "
            f"units and {outputs} outputs."
        )
    if not 0 <= sparsity <= 0.9 or inputs < 1:
        raise ValueError(
            "AutoNCP needs 1 or more inputs and a sparsity in 0 to 0.9, got "
            f"{inputs} and {sparsity}."
        )
    density = 1 - sparsity
    command = max(int(0.4 * (units - outputs)), 1)
    inter = units - outputs - command
    return ncp(
        inputs,
        inter,
        command,
        outputs,
        sensory_fanout=max(int(inter * density), 1, -(-inter // inputs)),
        inter_fanout=max(int(command * density), 1, -(-command // inter)),
        recurrent=min(max(int(command * density * 2), 1), command * command),
        motor_fanin=max(int(command * density), 1),
        seed=seed,
    )


def _checked_outputs(inputs: int, units: int, outputs: int | None) -> int:
    if inputs < 1 or units < 1:
        raise ValueError(f"A wiring needs one or more inputs and units, got {inputs} and {units}.")
    outputs = units if outputs is None else outputs
    if not 1 <= outputs <= units:
        raise ValueError(f"The outputs must number 1 to {units}, one a neuron, got {outputs}.")
    return outputs
