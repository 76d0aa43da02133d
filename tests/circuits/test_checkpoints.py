"""Long sequences train in little memory, with the same gradients."""

import pytest
import torch

from liquid_control.circuits import fused_sequence

INPUTS = 4  # of every circuit in conftest


def kept_for_backward(network, *given):
    """Bytes that a forward pass keeps for the backward pass, parameters excluded."""
    own = {each.untyped_storage().data_ptr() for each in (*network.parameters(), *given)}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = network(given[0], None, given[1])
    del outputs
    return sum(kept.values())


def gradients(network, inputs, elapsed):
    network.zero_grad()
    inputs = inputs.clone().requires_grad_()
    outputs, last = network(inputs, None, elapsed)
    last = last if isinstance(last, tuple) else (last,)
    (outputs.square().sum() + sum(part.sum() for part in last)).backward()
    return outputs, inputs.grad, *(p.grad for p in network.parameters() if p.grad is not None)


def test_pieces_give_the_outputs_and_the_gradients_of_the_whole(make):
    network = make()
    inputs, elapsed = torch.randn(3, 11, INPUTS), torch.rand(3, 11)
    elapsed[0, 4] = 0
    expected = gradients(network, inputs, elapsed)
    for length in (4, 100):
        network.checkpoint_every = length
        found = gradients(network, inputs, elapsed)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_pieces_take_a_fraction_of_the_memory(make_liquid):
    network = make_liquid()
    inputs, elapsed = torch.randn(4, 100, INPUTS), torch.rand(4, 100)
    with fused_sequence.torch_operations():
        whole = kept_for_backward(network, inputs, elapsed)
        network.checkpoint_every = 10
        assert kept_for_backward(network, inputs, elapsed) < 0.2 * whole


def test_without_gradients_it_changes_nothing(network):
    inputs = torch.randn(3, 11, INPUTS)
    with torch.no_grad():
        expected, _ = network(inputs, None, 0.1)
        network.checkpoint_every = 4
        assert torch.equal(network(inputs, None, 0.1)[0], expected)


@pytest.mark.parametrize("length", [0, -3, 2.5])
def test_an_impossible_length_is_refused(network, length):
    network.checkpoint_every = length
    with pytest.raises(ValueError, match=f"number of samples or None, got {length}"):
        network(torch.randn(3, 11, INPUTS), None, 0.1)
