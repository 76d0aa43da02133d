"""Networks taken over from ncps, and those made with its arguments, do what they did there."""

import ncps.torch
import ncps.wirings
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control import circuits
from liquid_control.circuits import LTC, NCP, AutoNCP, CfC, FullyConnected, Random, from_ncps

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def scrambled(network, scale=0.3):
    """The network with weights far from those it was made with, those that must be positive too."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(scale * torch.rand_like(parameter))
    return network


def theirs_and_ours_agree(theirs, inputs, elapsed=None):
    """Row by row, as ncps takes elapsed times of one row only."""
    ours = from_ncps(theirs)
    order = circuits.neuron_order(theirs)
    for row in range(len(inputs)):
        one = inputs[row : row + 1]
        times = None if elapsed is None else elapsed[row : row + 1]
        with torch.no_grad():
            expected, expected_state = theirs(one, timespans=times)
            output, state = ours(one, timespans=times)
        torch.testing.assert_close(output, expected, **CLOSE)
        if not isinstance(state, tuple):
            state, expected_state = (state,), (expected_state,)
        for ours_part, theirs_part in zip(state, expected_state, strict=True):
            torch.testing.assert_close(ours_part, theirs_part[:, order], **CLOSE)
    return ours


wiring_makers = st.sampled_from(
    [
        lambda units, outputs, seed: ncps.wirings.AutoNCP(units, outputs, 0.5, seed),
        lambda units, outputs, seed: ncps.wirings.FullyConnected(units, outputs, seed),
        lambda units, outputs, seed: ncps.wirings.Random(units, outputs, 0.5, seed),
    ]
)


@settings(deadline=None, max_examples=30)
@given(
    make=wiring_makers,
    inputs=st.integers(1, 12),
    hidden=st.integers(4, 16),
    outputs=st.integers(1, 4),
    unfolds=st.integers(1, 8),
    implicit=st.booleans(),
    mixed=st.booleans(),
    maps=st.sampled_from(["affine", "linear", None]),
    longest=st.sampled_from([0.1, 1.0, 30.0]),
    seed=st.integers(0, 10**6),
)
def test_an_ltc_taken_over_agrees_for_any_wiring_size_and_elapsed_times(
    make, inputs, hidden, outputs, unfolds, implicit, mixed, maps, longest, seed
):
    torch.manual_seed(seed)
    wiring = make(hidden + outputs, outputs, seed)
    theirs = ncps.torch.LTC(
        inputs,
        wiring,
        mixed_memory=mixed,
        input_mapping=maps,
        output_mapping=maps,
        ode_unfolds=unfolds,
        implicit_param_constraints=implicit,
    )
    scrambled(theirs)
    elapsed = longest * torch.rand(2, 5) + 1e-3
    ours = theirs_and_ours_agree(theirs, torch.randn(2, 5, inputs), elapsed)
    assert ours.wiring.synapses == int(
        theirs.rnn_cell.sparsity_mask.sum() + theirs.rnn_cell.sensory_sparsity_mask.sum()
    )


@settings(deadline=None, max_examples=30)
@given(
    mode=st.sampled_from(["default", "no_gate", "pure"]),
    activation=st.sampled_from(["lecun_tanh", "tanh", "relu", "silu", "gelu"]),
    inputs=st.integers(1, 12),
    units=st.integers(1, 20),
    layers=st.integers(0, 3),
    projection=st.sampled_from([None, 3]),
    mixed=st.booleans(),
    longest=st.sampled_from([0.1, 1.0, 30.0]),
    seed=st.integers(0, 10**6),
)
def test_a_dense_cfc_taken_over_agrees_for_any_mode_size_and_elapsed_times(
    mode, activation, inputs, units, layers, projection, mixed, longest, seed
):
    torch.manual_seed(seed)
    theirs = ncps.torch.CfC(
        inputs,
        units,
        proj_size=projection,
        mixed_memory=mixed,
        mode=mode,
        activation=activation,
        backbone_units=16,
        backbone_layers=layers,
    )
    scrambled(theirs, 0.1)
    elapsed = longest * torch.rand(2, 5) + 1e-3
    theirs_and_ours_agree(theirs, torch.randn(2, 5, inputs), elapsed)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("kind", ["LTC", "CfC"])
def test_calls_of_ncps_give_results_of_the_same_shapes_and_values(
    kind, mixed, return_sequences, batch_first
):
    theirs = getattr(ncps.torch, kind)(
        4, 6, mixed_memory=mixed, return_sequences=return_sequences, batch_first=batch_first
    )
    ours = from_ncps(theirs)
    state = torch.randn(3, 6), torch.randn(3, 6)
    for inputs, hx in (
        (torch.randn(3, 5, 4) if batch_first else torch.randn(5, 3, 4), state),
        (torch.randn(5, 4), (state[0][0], state[1][0])),
    ):
        if inputs.dim() == 2 and not batch_first:
            continue  # there, ncps takes the batch for the time
        hx = hx if mixed else hx[0]
        expected, expected_state = theirs(inputs, hx)
        for output, new_state in (ours(inputs, hx), ours(input=inputs, hx=hx)):
            torch.testing.assert_close(output, expected, **CLOSE)
            torch.testing.assert_close(new_state, expected_state, **CLOSE)


@pytest.mark.parametrize("network", [LTC, CfC])
@pytest.mark.parametrize(
    "units",
    [12, AutoNCP(12, 3), NCP(6, 3, 3, 4, 2, 3, 2), FullyConnected(12, 3), Random(12, 3, 0.5)],
    ids=lambda units: type(units).__name__,
)
def test_networks_are_made_and_trained_with_the_arguments_of_ncps(network, units):
    ours = network(5, units, return_sequences=False, batch_first=False, mixed_memory=True)
    inputs, hx = torch.randn(7, 2, 5), (torch.zeros(2, 12), torch.zeros(2, 12))
    output, state = ours(inputs, hx=hx, timespans=torch.rand(7, 2, 1))
    assert output.shape == (2, 12 if units == 12 else 3)
    assert [part.shape for part in state] == [(2, 12), (2, 12)]
    output.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in ours.parameters())


def test_precision_and_mode_are_taken_over():
    theirs = ncps.torch.LTC(3, 5).double().eval()
    ours = from_ncps(theirs)
    assert not ours.training
    inputs = torch.randn(2, 4, 3, dtype=torch.float64)
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float64}
    expected, _ = theirs(inputs, torch.zeros(2, 5, dtype=torch.float64))
    torch.testing.assert_close(ours(inputs)[0], expected, rtol=1e-7, atol=1e-7)


def test_taking_a_network_over_leaves_it_as_it_was():
    theirs = ncps.torch.LTC(3, ncps.wirings.AutoNCP(12, 2))
    before = {name: value.clone() for name, value in theirs.state_dict().items()}
    wiring = theirs._wiring.adjacency_matrix.copy()
    scrambled(from_ncps(theirs))
    assert all(torch.equal(value, before[name]) for name, value in theirs.state_dict().items())
    assert np.array_equal(theirs._wiring.adjacency_matrix, wiring)


def test_a_wired_cfc_of_ncps_is_refused_with_the_reason():
    theirs = ncps.torch.CfC(3, ncps.wirings.AutoNCP(12, 2))
    with pytest.raises(ValueError, match="does not follow its wiring"):
        from_ncps(theirs)


def test_an_ltc_with_negative_weights_is_refused_with_what_to_do():
    theirs = ncps.torch.LTC(3, 5, implicit_param_constraints=False)
    with torch.no_grad():
        theirs.rnn_cell.w[0, 0] = -0.5
    with pytest.raises(ValueError, match="apply_weight_constraints"):
        from_ncps(theirs)
    theirs.rnn_cell.apply_weight_constraints()
    theirs_and_ours_agree(theirs, torch.randn(1, 4, 3))


@pytest.mark.parametrize("network", [torch.nn.LSTM(3, 4), ncps.torch.CfCCell(3, 4), LTC(3, 4)])
def test_networks_of_other_kinds_are_refused(network):
    with pytest.raises(TypeError, match=type(network).__name__):
        from_ncps(network)
