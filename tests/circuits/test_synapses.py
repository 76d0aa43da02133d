"""Synapses are computed one by one or for all pairs of neurons, with the same numbers."""

import pytest
import torch

from liquid_control.circuits import LTC, LTCLSTM, AutoNCP, ncp


@pytest.mark.parametrize(
    ("make", "all_pairs"),
    [
        (lambda **options: LTC(20, 40, **options), True),
        (lambda **options: LTC(20, AutoNCP(120, 4, 0.1), **options), True),
        (lambda **options: LTCLSTM(20, 40, 20, **options), True),
        (lambda **options: LTC(ncp(), **options), False),
    ],
    ids=["full", "dense NCP", "LTC-LSTM", "sparse"],
)
@pytest.mark.parametrize("solver", ["fused", "euler"])
def test_a_sequence_in_the_form_that_is_fastest_equals_its_steps(make, all_pairs, solver):
    # In double precision, which the fused kernels leave to plain torch.
    network = make(solver=solver, time_unit=1.0).double()
    assert (network._prepare_sequence().current.dim() == 3) == all_pairs
    assert network.prepare().current.dim() == 2
    inputs = torch.randn(3, 4, network.inputs, dtype=torch.float64)
    elapsed = 0.3 * torch.rand(3, 4, dtype=torch.float64)
    gradients = []
    outputs, _ = network(inputs, None, elapsed)
    outputs.square().sum().backward()
    gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    network.zero_grad()
    state, stepped = None, []
    for time in range(4):
        output, state = network.step(inputs[:, time], state, elapsed[:, time])
        stepped.append(output)
    torch.testing.assert_close(outputs, torch.stack(stepped, 1))
    torch.stack(stepped, 1).square().sum().backward()
    gradients.append([parameter.grad for parameter in network.parameters()])
    for sequence, steps in zip(*gradients, strict=True):
        torch.testing.assert_close(sequence, steps, rtol=1e-8, atol=1e-10)
