"""Circuits compute where their parameters are: a device without memory stands for a GPU here."""

import pytest
import torch
from torch.func import vmap
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

INPUTS = 4  # of every circuit in conftest


class OnlyOnMeta(TorchDispatchMode):
    """Fails where an operation makes a tensor on another device, or takes one from there."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        for each in tree_leaves((args, kwargs, result)):
            if isinstance(each, torch.Tensor):
                assert each.device.type == "meta", f"{operation} on {each.device}"
        return result


@pytest.mark.parametrize("gradients", [True, False])
def test_nothing_is_computed_or_made_elsewhere(make_traceable, gradients):
    network = make_traceable().to("meta")
    inputs = torch.empty(3, 5, INPUTS, device="meta", requires_grad=gradients)
    elapsed = torch.empty(3, 5, device="meta")

    def run(inputs, elapsed):  # under vmap, as values, which this device lacks, are not looked at
        return network(inputs, None, elapsed), network.step(inputs[0], None, elapsed[0])

    with OnlyOnMeta(), torch.set_grad_enabled(gradients):
        (outputs, state), (output, _) = vmap(run)(inputs.unsqueeze(1), elapsed.unsqueeze(1))
        if gradients:
            (outputs.sum() + output.sum()).backward()
    parts = state if isinstance(state, tuple) else (state,)
    assert {each.device.type for each in (outputs, output, *parts)} == {"meta"}
    assert outputs.shape == (3, 1, 5, network.outputs)


def test_parameters_and_buffers_move_together(make):
    network = make().to("meta")
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    assert {each.device.type for each in tensors.values()} == {"meta"}
    assert network.to_empty(device="cpu") is network


def test_arguments_of_another_device_are_brought_to_the_parameters(make_traceable):
    network = make_traceable()
    outputs, _ = network(torch.randn(2, 3, INPUTS), None, torch.rand(2, 3))
    network.to("meta")
    run = vmap(lambda inputs, elapsed: network(inputs, None, elapsed)[0])
    moved = run(torch.randn(2, 1, 3, INPUTS), torch.rand(2, 1, 3))
    assert moved.device.type == "meta"
    assert moved.shape == outputs.unsqueeze(1).shape
