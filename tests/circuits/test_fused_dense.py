"""Compiled sequences of the dense CfC have the numbers and gradients of torch operations."""

import copy

import pytest
import torch
from hypothesis import given as draw
from hypothesis import settings
from hypothesis import strategies as st
from torch.func import functional_call

from liquid_control.circuits import CfC, fused_sequence

pytest.importorskip("numba")
from liquid_control.circuits import fused_dense_kernel

MODES = ("default", "no_gate", "pure")


def scrambled(inputs=5, units=7, **options):
    network = CfC(inputs, units, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network


def sequences(network, batch, time):
    """Inputs, state and elapsed times of every row, all with gradients; the first row rests."""
    elapsed = torch.rand(batch, time)
    elapsed[0, time // 2] = 0
    state = (torch.randn(batch, size) for size in network.state_sizes)
    given = torch.randn(batch, time, network.inputs), elapsed, *state
    return tuple(each.requires_grad_() for each in given)


def called(network, inputs, elapsed, *state):
    """Outputs and the parts of the last state."""
    outputs, last = network(inputs, state if len(state) > 1 else state[0], elapsed)
    return outputs, *(last if isinstance(last, tuple) else (last,))


def by_operations(network, *given):
    with fused_sequence.torch_operations():
        return called(network, *given)


def gradients(network, given, returned):
    total = sum(
        (part * torch.linspace(-1, 1, part.numel()).view_as(part)).sum() for part in returned
    )
    return torch.autograd.grad(total, (*given, *network.parameters()))


@pytest.fixture
def kernel_calls(monkeypatch):
    calls, compiled = [], fused_dense_kernel.forward

    def forward(*arguments):
        calls.append(arguments[3])
        return compiled(*arguments)

    monkeypatch.setattr(fused_dense_kernel, "forward", forward)
    return calls


def assert_the_same(network, batch, time):
    given = sequences(network, batch, time)
    compiled, single = called(network, *given), by_operations(network, *given)
    torch.testing.assert_close(compiled, single, rtol=1e-5, atol=3e-6)
    found = gradients(network, given, compiled)
    exact = copy.deepcopy(network).double()
    given = tuple(each.detach().double().requires_grad_() for each in given)
    expected = gradients(exact, given, by_operations(exact, *given))
    # Judged by the largest gradient: in small ones, sums of large numbers may have cancelled.
    largest = max(value.abs().max() for value in expected)
    for ours, value in zip(found, expected, strict=True):
        assert (ours.double() - value).abs().max() < 1e-5 * largest


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("batch", "time"), [(1, 40), (5, 9), (16, 1), (32, 8), (33, 3)])
@pytest.mark.parametrize("memory", [False, True])
def test_numbers_and_gradients_are_those_of_the_torch_operations(
    mode, memory, batch, time, kernel_calls
):
    assert_the_same(scrambled(mode=mode, mixed_memory=memory), batch, time)
    assert kernel_calls == [MODES.index(mode)]


@settings(deadline=None, max_examples=30)
@draw(
    mode=st.sampled_from(MODES),
    activation=st.sampled_from(["tanh", "lecun_tanh"]),
    inputs=st.integers(1, 9),
    units=st.integers(1, 20),
    width=st.integers(1, 40),
    project=st.booleans(),
    memory=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_so_they_are_for_any_size(mode, activation, inputs, units, width, project, memory, seed):
    torch.manual_seed(seed)
    network = scrambled(
        inputs,
        units,
        proj_size=2 if project else None,
        mode=mode,
        activation=activation,
        backbone_units=width,
        mixed_memory=memory,
    )
    assert_the_same(network, 6, 4)


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_resting_rows_keep_their_state_to_the_bit(mode, memory):
    network, elapsed = scrambled(mode=mode, mixed_memory=memory), torch.rand(20, 3)
    elapsed[::2] = 0
    state = [torch.randn(20, 7) for _ in network.state_sizes]
    outputs, *after = called(network, torch.randn(20, 3, 5), elapsed, *state)
    assert torch.equal(outputs[::2], state[0][::2].unsqueeze(1).expand(-1, 3, -1))
    for old, new in zip(state, after, strict=True):
        assert torch.equal(new[::2], old[::2])
        assert (new[1::2] != old[1::2]).any(1).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", [1e6, 1e30])
def test_inputs_of_any_size_leave_states_and_gradients_finite(mode, scale):
    network = scrambled(mode=mode)
    inputs = (scale * torch.randn(20, 3, 5)).requires_grad_()
    outputs, _ = network(inputs, None, 0.3)
    outputs.sum().backward()
    assert outputs.isfinite().all()
    assert inputs.grad.isfinite().all()


def test_a_nan_reaches_the_outputs_of_its_row_and_no_other():
    network, inputs = scrambled(), torch.randn(20, 3, 5)
    inputs[3, 1, 0] = torch.nan
    outputs, _ = network(inputs)
    assert outputs[3, 1:].isnan().all()
    assert outputs[3, 0].isfinite().all()
    assert outputs[torch.arange(20) != 3].isfinite().all()


def test_weights_handed_in_by_a_functional_call_take_effect(kernel_calls):
    network, other, inputs = scrambled(), scrambled(), torch.randn(20, 3, 5)
    expected, _ = other(inputs)
    outputs, _ = functional_call(network, dict(other.named_parameters()), (inputs,))
    assert torch.equal(outputs, expected)
    assert len(kernel_calls) == 2


def test_without_gradients_nothing_is_kept_and_the_numbers_are_the_same():
    network, inputs = scrambled(), torch.randn(20, 30, 5)
    expected, _ = network(inputs)
    with torch.no_grad():
        assert torch.equal(network(inputs)[0], expected)


def test_sequences_in_any_memory_order_are_understood():
    network, inputs = scrambled(batch_first=False), torch.randn(9, 20, 5)
    elapsed = torch.rand(20, 9)
    outputs, _ = network(inputs, torch.randn(7, 20).T, elapsed.T)
    again = scrambled(batch_first=False)
    again.load_state_dict(network.state_dict())
    copied, _ = again(inputs.clone(), None, elapsed.T.contiguous())
    assert outputs.shape == copied.shape
    torch.testing.assert_close(network(inputs, None, elapsed.T)[0], copied, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "relu"},
        {"backbone_layers": 0},
        {"backbone_layers": 2},
        {"backbone_dropout": 0.5},
    ],
)
def test_other_networks_take_the_torch_operations(options, kernel_calls):
    network, inputs = scrambled(**options), torch.randn(20, 3, 5)
    outputs, _ = network(inputs)
    assert outputs.isfinite().all()
    assert not kernel_calls


def test_dropout_takes_the_torch_operations_in_training_alone(kernel_calls):
    network, inputs = scrambled(backbone_dropout=0.5), torch.randn(20, 3, 5)
    assert not torch.equal(network(inputs)[0], network(inputs)[0])
    network.eval()
    with fused_sequence.torch_operations():
        expected, _ = network(inputs)
    assert not kernel_calls
    torch.testing.assert_close(network(inputs)[0], expected, rtol=1e-5, atol=3e-6)
    assert len(kernel_calls) == 1
