"""A Stepper gives the numbers of LTC.step, one sample at a time."""

import numpy as np
import pytest
import torch

from liquid_control.circuits import LTC, Stepper, flagship_wiring, ncp


def scrambled(outputs=2, **options):
    circuit = LTC(flagship_wiring(outputs), **options)
    with torch.no_grad():
        for parameter in circuit.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return circuit


@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize("unfolds", [1, 6])
@pytest.mark.parametrize("scale", [1, 100])
def test_a_hundred_samples_come_out_as_from_the_circuit(outputs, unfolds, scale):
    circuit = scrambled(outputs, unfolds=unfolds)
    stepper, state = Stepper(circuit), None
    for number in range(100):
        inputs, elapsed = scale * torch.randn(1, 32), float(torch.rand(())) * 0.2
        with torch.no_grad():
            expected, state = circuit.step(inputs, state, elapsed)
        output = stepper(inputs[0].numpy(), elapsed)
        assert output.dtype == stepper.state.dtype == np.float32
        np.testing.assert_allclose(output, expected[0], rtol=1e-5, atol=5e-6, err_msg=str(number))
        np.testing.assert_allclose(stepper.state, state[0], rtol=1e-5, atol=5e-6)


def test_no_elapsed_time_leaves_the_state_to_the_bit():
    stepper = Stepper(scrambled())
    for _ in range(20):
        stepper(np.random.default_rng(0).normal(size=32), 0.1)
    before = stepper.state
    stepper(np.full(32, 5.0), 0.0)
    assert np.array_equal(stepper.state, before)
    assert not np.array_equal(stepper.state, np.zeros(19))


def test_the_state_can_be_set_and_what_was_returned_stays_as_it_was():
    circuit = scrambled()
    stepper = Stepper(circuit)
    start = np.linspace(-1, 1, 19, dtype=np.float32)
    stepper.state = start
    first = stepper(np.zeros(32), 0.05)
    kept, state = first.copy(), stepper.state
    with torch.no_grad():
        expected, _ = circuit.step(torch.zeros(1, 32), torch.from_numpy(start)[None], 0.05)
    np.testing.assert_allclose(first, expected[0], rtol=1e-5, atol=1e-6)
    stepper(np.ones(32), 0.05)
    assert np.array_equal(first, kept)
    assert not np.array_equal(stepper.state, state)


def test_huge_inputs_leave_the_state_finite_and_a_nan_shows():
    stepper = Stepper(scrambled())
    assert np.isfinite(stepper(np.full(32, 1e30), 0.1)).all()
    assert np.isnan(stepper(np.full(32, np.nan), 0.1)).all()


@pytest.mark.parametrize("elapsed", [-0.1, float("nan"), float("inf")])
def test_impossible_elapsed_times_are_refused_and_change_nothing(elapsed):
    stepper = Stepper(scrambled())
    stepper(np.ones(32), 0.1)
    before = stepper.state
    with pytest.raises(ValueError, match="finite and 0 s or more"):
        stepper(np.ones(32), elapsed)
    assert np.array_equal(stepper.state, before)


@pytest.mark.parametrize("shape", [(31,), (1, 32), ()])
def test_inputs_and_states_of_another_shape_are_refused(shape):
    stepper = Stepper(scrambled())
    with pytest.raises(ValueError, match=r"shape \(32,\)"):
        stepper(np.ones(shape), 0.1)
    with pytest.raises(ValueError, match=r"shape \(19,\)"):
        stepper.state = np.ones(shape)


@pytest.mark.parametrize("options", [{"solver": "rk4"}, {"mixed_memory": True}])
def test_circuits_of_other_kinds_are_refused(options):
    with pytest.raises(ValueError, match=r"use circuit\.step\(\)"):
        Stepper(LTC(ncp(), **options))
