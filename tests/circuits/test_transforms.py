"""Circuits work wherever torch does: precisions, copies, functional calls, compilers, export."""

import copy
import io

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from liquid_control.circuits import LTC, AutoNCP, CfC

INPUTS = 4  # of every circuit in conftest


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def zeros(network, batch):
    state = tuple(torch.zeros(batch, size) for size in network.state_sizes)
    return state if len(state) > 1 else state[0]


def learnt(network):
    return [each for each in network.parameters() if each.requires_grad]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_parameters_of_any_precision_give_results_of_that_precision(network, dtype):
    inputs, elapsed = torch.randn(3, 4, INPUTS), torch.rand(3, 4)
    with torch.no_grad():
        expected, _ = network(inputs, None, elapsed)
    lower = copy.deepcopy(network).to(dtype)
    outputs, state = lower(inputs, None, elapsed)
    step, _ = lower.step(inputs[:, 0], None, elapsed[:, 0])
    assert {outputs.dtype, step.dtype, *(part.dtype for part in parts(state))} == {dtype}
    loose = 0.1 if dtype == torch.bfloat16 else 0.02
    torch.testing.assert_close(outputs.float(), expected, rtol=loose, atol=loose)
    if learnt(lower):
        outputs.square().sum().backward()
        assert all(each.grad.isfinite().all() for each in learnt(lower) if each.grad is not None)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_leaves_the_precision_of_the_parameters(network, dtype):
    inputs = torch.randn(2, 4, INPUTS)
    plain, _ = network(inputs, None, 0.1)
    with torch.autocast("cpu", dtype):
        cast, state = network(inputs.to(dtype).float(), None, 0.1)
        step, _ = network.step(inputs[:, 0], None, 0.1)
    assert {cast.dtype, step.dtype, *(part.dtype for part in parts(state))} == {torch.float32}
    torch.testing.assert_close(step, plain[:, 0])
    torch.testing.assert_close(cast, network(inputs.to(dtype).float(), None, 0.1)[0])


def test_double_precision_gradients_are_those_of_finite_differences(make):
    network = make().eval().double()
    inputs = torch.randn(2, 2, INPUTS, dtype=torch.float64, requires_grad=True)
    elapsed = (0.1 + 0.5 * torch.rand(2, 2, dtype=torch.float64)).requires_grad_()
    state = tuple(
        (0.5 * torch.randn(2, size, dtype=torch.float64)).requires_grad_()
        for size in network.state_sizes
    )
    weights = {name: each for name, each in network.named_parameters() if each.requires_grad}
    chosen = next(iter(weights), None)

    def run(inputs, elapsed, *rest):
        given = rest[: len(state)] if len(state) > 1 else rest[0]
        replaced = {chosen: rest[-1]} if chosen else {}
        outputs, last = functional_call(network, replaced, (inputs, given, elapsed))
        return outputs, *parts(last)

    weight = (weights[chosen].detach().clone().requires_grad_(),) if chosen else ()
    assert torch.autograd.gradcheck(run, (inputs, elapsed, *state, *weight))


def test_a_deep_copy_is_equal_and_independent(network):
    other = copy.deepcopy(network)
    inputs = torch.randn(2, 3, INPUTS)
    expected, _ = network(inputs, None, 0.1)
    assert torch.equal(other(inputs, None, 0.1)[0], expected)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    assert torch.equal(network(inputs, None, 0.1)[0], expected)
    assert not torch.equal(other(inputs, None, 0.1)[0], expected)


def test_weights_handed_in_take_effect(make):
    """By a functional call, and by loading with assignment."""
    network, other = make().eval(), make().eval()
    inputs = torch.randn(2, 3, INPUTS)
    expected, _ = other(inputs, None, 0.1)
    assert not torch.equal(network(inputs, None, 0.1)[0], expected)
    given = {**dict(other.named_parameters()), **dict(other.named_buffers())}
    called, _ = functional_call(network, given, (inputs, None, 0.1))
    assert torch.equal(called, expected)
    network.load_state_dict(other.state_dict(), assign=True)
    assert torch.equal(network(inputs, None, 0.1)[0], expected)


def test_an_ensemble_runs_as_one_under_vmap(make_traceable):
    networks = [make_traceable().eval() for _ in range(3)]
    inputs, elapsed = torch.randn(2, 5, INPUTS), torch.rand(2, 5)
    alone = torch.stack([network(inputs, None, elapsed)[0] for network in networks])
    parameters, buffers = stack_module_state(networks)

    def run(parameters, buffers, inputs, elapsed):
        return functional_call(networks[0], (parameters, buffers), (inputs, None, elapsed))[0]

    shared = vmap(run, (0, 0, None, None))(parameters, buffers, inputs, elapsed)
    torch.testing.assert_close(shared, alone, rtol=1e-5, atol=1e-6)
    each = vmap(run)(parameters, buffers, torch.stack([inputs] * 3), torch.stack([elapsed] * 3))
    torch.testing.assert_close(each, alone, rtol=1e-5, atol=1e-6)


def test_gradients_of_an_ensemble_are_those_of_its_members(make_liquid):
    networks = [make_liquid().eval() for _ in range(2)]
    inputs = torch.randn(2, 3, INPUTS)

    def loss(parameters, buffers):
        return functional_call(networks[0], (parameters, buffers), (inputs, None, 0.2))[0].sum()

    gradients = vmap(torch.func.grad(loss))(*stack_module_state(networks))
    for index, network in enumerate(networks):
        network(inputs, None, 0.2)[0].sum().backward()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(gradients[name][index], parameter.grad, rtol=1e-4, atol=1e-5)


def test_it_compiles_without_a_break_and_gives_the_same_numbers(make_compilable):
    network = make_compilable().eval()
    inputs, elapsed = torch.randn(2, 2, INPUTS), torch.rand(2, 2)
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    expected, expected_state = network(inputs, None, elapsed)
    outputs, state = compiled(inputs, None, elapsed)
    torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(state, expected_state, rtol=1e-5, atol=1e-6)
    if learnt(network):
        outputs.sum().backward()
        gradients = [each.grad.clone() for each in learnt(network) if each.grad is not None]
        network.zero_grad()
        expected.sum().backward()
        ours = [each.grad for each in learnt(network) if each.grad is not None]
        for compiled_one, plain in zip(gradients, ours, strict=True):
            torch.testing.assert_close(compiled_one, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("make", [lambda: LTC(4, AutoNCP(10, 2)), lambda: CfC(4, AutoNCP(10, 2))])
def test_one_step_compiles_to_machine_code(make):
    network = make().eval()
    inputs, state = torch.randn(1, 4), torch.randn(1, 10)
    torch._dynamo.reset()
    with torch.no_grad():
        output, after = torch.compile(network.step)(inputs, state, torch.tensor(0.1))
        expected, expected_state = network.step(inputs, state, 0.1)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(after, expected_state, rtol=1e-5, atol=1e-6)


def test_it_exports_for_any_batch_and_any_number_of_samples(make_compilable):
    network = make_compilable().eval()
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time")
    example = torch.randn(3, 4, INPUTS), zeros(network, 3), torch.rand(3, 4)
    state_shape = tuple({0: batch} for _ in network.state_sizes)
    shapes = (
        {0: batch, 1: time},
        state_shape if len(state_shape) > 1 else state_shape[0],
        {0: batch, 1: time},
    )
    with torch.no_grad():
        program = torch.export.export(network, example, dynamic_shapes=shapes)
        file = io.BytesIO()
        torch.export.save(program, file)
        file.seek(0)
        loaded = torch.export.load(file).module()
        for rows, samples in ((1, 1), (5, 9), (2, 40)):
            inputs, elapsed = torch.randn(rows, samples, INPUTS), torch.rand(rows, samples)
            elapsed[0, -1] = 0  # a row that rests is no special case for an export
            outputs, state = loaded(inputs, zeros(network, rows), elapsed)
            expected, expected_state = network(inputs, None, elapsed)
            torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-5)
            for ours, theirs in zip(parts(state), parts(expected_state), strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
