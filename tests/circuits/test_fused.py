"""Compiled sequences of LTC and wired CfC have the numbers and gradients of torch operations."""

import copy
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given as draw
from hypothesis import settings
from hypothesis import strategies as st

from liquid_control.circuits import (
    LTC,
    CfC,
    Wiring,
    flagship_wiring,
    fused_sequence,
    ncp,
    random_sparse,
)

pytest.importorskip("numba")
from liquid_control.circuits import fused_cfc_kernel, fused_kernel, fused_lanes


def by_operations(circuit, *given):
    with fused_sequence.torch_operations():
        return circuit(*given)


@pytest.fixture
def kernel_calls(monkeypatch):
    """The batch sizes with which compiled code was called."""
    calls = []

    def watched(compiled):
        def forward(inputs, *others):
            calls.append(len(inputs))
            return compiled(inputs, *others)

        return forward

    for kernel in (fused_kernel, fused_cfc_kernel):
        monkeypatch.setattr(kernel, "forward", watched(kernel.forward))
    return calls


def scrambled(wiring, seed=0, cell=LTC, **options):
    torch.manual_seed(seed)
    circuit = cell(wiring, **options)
    with torch.no_grad():
        for parameter in circuit.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return circuit


def sequences(circuit, batch, time, seed=1):
    """Inputs, state and elapsed times of every row, all with gradients."""
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(batch, time, circuit.wiring.inputs, generator=draw)
    state = torch.randn(batch, circuit.wiring.units, generator=draw)
    elapsed = 0.1 * torch.rand(batch, time, generator=draw)
    return tuple(tensor.requires_grad_() for tensor in (inputs, state, elapsed))


def gradients(circuit, given, returned):
    """By inputs, state, elapsed times and parameters, of fixed weights on outputs and state."""
    draw = torch.Generator().manual_seed(2)
    total = sum(
        (part * torch.randn(part.shape, generator=draw).to(part)).sum() for part in returned
    )
    names = ["inputs", "state", "elapsed", *(name for name, _ in circuit.named_parameters())]
    found = torch.autograd.grad(total, (*given, *circuit.parameters()))
    return dict(zip(names, found, strict=True))


def far(value, expected):
    """Largest difference, relative to the largest expected number."""
    return ((value.double() - expected).abs().max() / expected.abs().max()).item()


FULL = Wiring(3, 4, 0, 2, np.ones((3, 6)), -np.ones((6, 6)))  # from every layer to every layer
CASES = [
    (FULL, 9, 7, 3),
    # More, fewer and exactly as many rows as lanes; one sample; one unfold; several motors.
    (ncp(), 32, 8, 6),
    (ncp(seed=3), 5, 12, 6),
    (flagship_wiring(4), 17, 3, 2),
    (ncp(8, 5, 4, 2, 3, 2, 5, 3), 16, 1, 1),
    (ncp(), 1, 40, 6),
]


@pytest.mark.parametrize(("wiring", "batch", "time", "unfolds"), CASES)
@pytest.mark.parametrize("kind", ["LTC", "default", "no_gate"])
def test_numbers_and_gradients_are_those_of_the_torch_operations(
    kind, wiring, batch, time, unfolds, kernel_calls
):
    if kind == "LTC":
        circuit = scrambled(wiring, unfolds=unfolds)
    else:
        circuit = scrambled(wiring, cell=CfC, mode=kind)
    given = sequences(circuit, batch, time)
    compiled = circuit(*given)
    assert kernel_calls == [batch]
    found = gradients(circuit, given, compiled)

    single = by_operations(circuit, *given)
    for ours, theirs in zip(compiled, single, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=3e-6)

    exact = copy.deepcopy(circuit).double()
    given = tuple(tensor.detach().double().requires_grad_() for tensor in given)
    expected = gradients(exact, given, by_operations(exact, *given))
    for name, value in expected.items():
        assert far(found[name], value) < 1e-5, name


@settings(deadline=None, max_examples=40)
@draw(
    cell=st.sampled_from([LTC, CfC]),
    inputs=st.integers(1, 40),
    units=st.integers(1, 24),
    sparsity=st.floats(0.0, 0.9),
    batch=st.integers(4, 40),
    time=st.integers(4, 6),
    seed=st.integers(0, 10**6),
)
def test_on_random_wirings_the_error_is_that_of_float32(
    cell, inputs, units, sparsity, batch, time, seed
):
    circuit = scrambled(random_sparse(inputs, units, 1, sparsity, seed=seed), seed, cell)
    exact = copy.deepcopy(circuit).double()
    given = sequences(circuit, batch, time, seed)
    exactly_given = tuple(tensor.detach().double().requires_grad_() for tensor in given)
    runs = (
        (circuit, given, circuit(*given)),
        (circuit, given, by_operations(circuit, *given)),
        (exact, exactly_given, by_operations(exact, *exactly_given)),
    )
    ours, single, exact = (
        gradients(*run) | {"outputs": run[2][0].detach(), "last state": run[2][1].detach()}
        for run in runs
    )
    largest = max(value.abs().max().item() for value in exact.values() if value.numel())
    for name, value in exact.items():
        # Where a stiff neuron or a sum that cancels magnifies rounding, it does so in both.
        error, usual = ((run[name] - value).abs().sum() for run in (ours, single))
        assert error <= 5 * usual + 1e-6 * largest * value.numel(), name


@pytest.mark.parametrize("cell", [LTC, CfC])
def test_only_the_states_are_kept_for_the_gradient(cell):
    circuit, inputs = scrambled(ncp(), cell=cell), torch.randn(4, 100, 32)
    own = {tensor.data_ptr() for tensor in (*circuit.parameters(), inputs)}
    kept = {}

    def pack(tensor):
        if tensor.data_ptr() not in own:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        returned = circuit(inputs, None, 0.1)
    states, elapsed, prepared = 4 * 4 * 100 * 19, 4 * 4 * 100, 16 * 4 * (253 + 19)
    assert sum(kept.values()) < states + elapsed + prepared
    del returned


def test_second_derivatives_are_to_be_had_by_torch_operations():
    circuit, inputs = scrambled(ncp()), torch.randn(4, 8, 32, requires_grad=True)
    first = torch.autograd.grad(circuit(inputs)[0].sum(), inputs, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.square().sum().backward()
    outputs, _ = by_operations(circuit, inputs)
    first = torch.autograd.grad(outputs.sum(), inputs, create_graph=True)[0]
    first.square().sum().backward()
    assert inputs.grad.abs().sum() > 0


def test_a_wiring_without_any_synapse_leaks():
    wiring = Wiring(2, 0, 0, 1, np.zeros((2, 1)), np.zeros((1, 1)))
    circuit = scrambled(wiring)
    given = sequences(circuit, 3, 8)
    for ours, theirs in zip(circuit(*given), by_operations(circuit, *given), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_no_elapsed_time_leaves_the_state_to_the_bit_and_its_gradient_is_right():
    circuit = scrambled(ncp())
    inputs, state, _ = sequences(circuit, 3, 8)
    elapsed = torch.zeros(3, 8, requires_grad=True)
    _, after = circuit(inputs, state, elapsed)
    assert torch.equal(after, state)
    ours = torch.autograd.grad(after.sum(), (state, elapsed))
    _, after = by_operations(circuit, inputs, state, elapsed)
    theirs = torch.autograd.grad(after.sum(), (state, elapsed))
    for value, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)


def test_a_cfc_keeps_the_state_of_resting_rows_to_the_bit():
    circuit = scrambled(ncp(), cell=CfC)
    inputs, state, elapsed = sequences(circuit, 20, 6)
    with torch.no_grad():
        elapsed[::2, 1:4] = 0
        elapsed[4] = 0
    outputs, after = circuit(inputs, state, elapsed)
    assert torch.equal(after[4], state[4])
    assert torch.equal(outputs[::2, 0], outputs[::2, 3])
    given = inputs, state, elapsed
    found = gradients(circuit, given, (outputs, after))
    expected = gradients(circuit, given, by_operations(circuit, *given))
    for name, value in expected.items():
        assert far(found[name], value) < 1e-5, name


@pytest.mark.parametrize("scale", [1e3, 1e6, 1e30])
def test_inputs_of_any_size_leave_states_and_gradients_finite(scale):
    circuit = scrambled(ncp())
    given = tuple(scale * tensor.detach() for tensor in sequences(circuit, 4, 8))
    given = tuple(tensor.requires_grad_() for tensor in given)
    outputs, state = circuit(*given)
    assert outputs.isfinite().all()
    if scale < 1e30:  # there, gradients by slopes exceed float32 in any solver
        for name, value in gradients(circuit, given, (outputs, state)).items():
            assert value.isfinite().all(), name


def test_gradients_of_parameters_are_the_same_where_inputs_want_none():
    circuit = scrambled(ncp())
    inputs, state, elapsed = sequences(circuit, 20, 8)
    both = [
        torch.autograd.grad(circuit(each, state, elapsed)[0].sum(), circuit.parameters())
        for each in (inputs, inputs.detach())
    ]
    assert inputs.requires_grad
    for wanted, without in zip(*both, strict=True):
        assert torch.equal(wanted, without)


def test_a_nan_reaches_the_outputs_of_its_row_and_no_other():
    circuit = scrambled(ncp())
    inputs, state, elapsed = (tensor.detach() for tensor in sequences(circuit, 20, 4))
    inputs[3, 2, 7] = torch.nan
    outputs, _ = circuit(inputs, state, elapsed)
    assert outputs[3, :2].isfinite().all()
    assert outputs[3, 3].isnan().all()
    assert outputs[torch.arange(20) != 3].isfinite().all()


def test_the_logistic_function_has_a_relative_error_below_2e_7():
    values = np.concatenate(
        [np.linspace(-86.5, 100, 200_001), np.linspace(-1, 1, 50_001), [-1e30, 1e30, np.inf]]
    ).astype(np.float32)
    result = fused_kernel.logistic_of(values)
    wide = values.astype(np.float64)
    expected = np.exp(-np.logaddexp(0, -wide))
    inside = wide > -87
    assert (abs(result[inside] / expected[inside] - 1)).max() < 2e-7
    assert (abs(result[~inside]) < 2e-38).all()
    assert np.isnan(fused_kernel.logistic_of(np.full(3, np.nan, np.float32))).all()


def test_a_caller_may_change_the_returned_state_before_the_backward_pass():
    circuit = scrambled(ncp())
    given = sequences(circuit, 4, 8)
    outputs, state = circuit(*given)
    expected = torch.autograd.grad(outputs.sum(), given[0], retain_graph=True)[0]
    state.detach().zero_()
    assert torch.equal(torch.autograd.grad(outputs.sum(), given[0])[0], expected)


def test_sequences_in_any_memory_order_are_understood():
    circuit = scrambled(ncp())
    inputs, state, elapsed = (tensor.detach() for tensor in sequences(circuit, 6, 8))
    expected, _ = circuit(inputs, state, elapsed)
    turned = inputs.transpose(0, 1).contiguous().transpose(0, 1)
    outputs, _ = circuit(turned, state, elapsed.T.contiguous().T)
    assert torch.equal(outputs, expected)


def test_weights_handed_in_by_a_functional_call_take_effect(kernel_calls):
    circuit, other = scrambled(ncp()), scrambled(ncp(), seed=5)
    inputs = torch.randn(4, 8, 32)
    weights = {name: value.detach() for name, value in other.named_parameters()}
    called, _ = torch.func.functional_call(circuit, weights, (inputs, None, 0.1))
    assert torch.equal(called, other(inputs, None, 0.1)[0])
    assert len(kernel_calls) == 2


def test_transforms_precisions_and_kinds_beyond_it_take_the_torch_operations(kernel_calls):
    circuit = scrambled(ncp())
    inputs = torch.randn(3, 4, 8, 32)
    mapped = torch.func.vmap(lambda each: circuit(each, None, 0.1)[0])(inputs)
    copy.deepcopy(circuit).double()(inputs[0].double(), None, 0.1)
    copy.deepcopy(circuit).bfloat16()(inputs[0].bfloat16(), None, 0.1)
    for options in ({"mode": "pure"}, {"mixed_memory": True}):
        CfC(ncp(), **options)(inputs[0], None, 0.1)
    LTC(ncp(), mixed_memory=True)(inputs[0], None, 0.1)
    LTC(ncp(), solver="rk4")(inputs[0], None, 0.1)
    assert kernel_calls == []
    torch.testing.assert_close(mapped[1], circuit(inputs[1], None, 0.1)[0])
    assert kernel_calls == [4]


@pytest.mark.slow
def test_numba_is_not_loaded_by_the_import_nor_where_it_has_nothing_to_do():
    code = (
        "import sys, torch; from liquid_control.circuits import LTC, ncp\n"
        "circuit = LTC(ncp()); circuit.step(torch.rand(1, 32), None, 0.1)\n"
        "circuit(torch.rand(1, 2, 32), None, 0.1)\n"
        "from liquid_control.circuits import LSTM, CfC\n"
        "with torch.no_grad():\n"
        "    for other in (LSTM(32, 4), CfC(32, 4)):\n"
        "        other.step(torch.rand(1, 32), None, 0.1)\n"
        "assert 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_numba_that_does_not_load_is_said_once_and_sequences_still_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "liquid_control.circuits.fused_lanes", None)
    fused_sequence.compiled.cache_clear()
    circuit = scrambled(ncp())
    inputs = torch.randn(4, 8, 32)
    with pytest.warns(UserWarning, match="numba is installed but cannot be loaded"):
        circuit(inputs, None, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        circuit(inputs, None, 0.1)
    fused_sequence.compiled.cache_clear()


def test_where_no_folder_can_keep_compiled_code_it_is_compiled_for_this_process(monkeypatch):
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])

    def double(number):
        return 2 * number

    assert fused_lanes.kept(double)(3) == 6
