"""Whole sequences in one call are what stepping through them gives, wherever episodes start."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.circuits import CTRNN, GRU, LSTM, LTC, CfC, flagship_wiring
from liquid_control.training.rl.sequences import run_sequences

CIRCUITS = {
    "LTC": lambda: LTC(flagship_wiring(2)),
    "CfC": lambda: CfC(flagship_wiring(2)),
    "LTC with mixed memory": lambda: LTC(32, flagship_wiring(2), mixed_memory=True),
    "LSTM": lambda: LSTM(32, 9, 2),
    "GRU": lambda: GRU(32, 9, 2),
    "CT-RNN": lambda: CTRNN(32, 9, 2),
}


def stepped(circuit, inputs, state, elapsed, starts):
    """The same, one sample after another."""
    outputs = []
    for time in range(inputs.shape[1]):
        state = tuple(part * ~starts[:, time : time + 1] for part in state)
        whole = state[0] if len(state) == 1 else state
        output, whole = circuit.step(inputs[:, time], whole, elapsed[:, time])
        state = (whole,) if isinstance(whole, torch.Tensor) else whole
        outputs.append(output)
    return torch.stack(outputs, 1), state


def drawn(circuit, rows, time, seed, share):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand(rows, time, circuit.inputs, generator=generator)
    elapsed = torch.rand(rows, time, generator=generator) / 15
    starts = torch.rand(rows, time, generator=generator) < share
    state = tuple(torch.rand(rows, size, generator=generator) - 0.5 for size in circuit.state_sizes)
    return inputs, state, elapsed, starts


@pytest.mark.parametrize("rows", [5, 19])
@pytest.mark.parametrize("name", CIRCUITS)
def test_one_call_equals_stepping_through(name, rows):
    torch.manual_seed(0)
    circuit = CIRCUITS[name]()
    arguments = drawn(circuit, rows, time=23, seed=1, share=0.15)
    outputs, state = run_sequences(circuit, *arguments)
    expected, expected_state = stepped(circuit, *arguments)
    torch.testing.assert_close(outputs, expected, atol=1e-5, rtol=0)
    for part, expected_part in zip(state, expected_state, strict=True):
        torch.testing.assert_close(part, expected_part, atol=1e-5, rtol=0)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 4),
    time=st.integers(1, 12),
    share=st.sampled_from([0.0, 0.2, 1.0]),
    seed=st.integers(0, 99),
)
def test_any_pattern_of_episode_starts_gives_what_stepping_gives(rows, time, share, seed):
    circuit = LSTM(3, 4, 1)
    arguments = drawn(circuit, rows, time, seed, share)
    outputs, state = run_sequences(circuit, *arguments)
    expected, expected_state = stepped(circuit, *arguments)
    torch.testing.assert_close(outputs, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(state[1], expected_state[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("rows", [4, 19])
@pytest.mark.parametrize("name", ["LTC", "CfC"])
def test_gradients_are_those_of_stepping(name, rows):
    """With sequences that are cut, and with more than one vector holds; by all that goes in."""
    torch.manual_seed(0)
    circuit = CIRCUITS[name]()
    inputs, (state,), elapsed, starts = drawn(circuit, rows, time=11, seed=2, share=0.2)
    given = (inputs, state, elapsed, *circuit.parameters())
    for each in given:
        each.requires_grad_()
    gradients = []
    for run in (run_sequences, stepped):
        outputs, (last,) = run(circuit, inputs, (state,), elapsed, starts)
        gradients.append(torch.autograd.grad((outputs**2).sum() + last.sum(), given))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["LTC", "LSTM"])
def test_padding_leaves_the_state_where_the_sequence_ended(name):
    torch.manual_seed(0)
    circuit = CIRCUITS[name]()
    inputs, state, elapsed, starts = drawn(circuit, rows=9, time=10, seed=3, share=0.2)
    short = inputs[:, :6], state, elapsed[:, :6], starts[:, :6]
    inputs[:, 6:], elapsed[:, 6:], starts[:, 6:] = 0.0, 0.0, False
    _, padded = run_sequences(circuit, inputs, state, elapsed, starts)
    _, ended = run_sequences(circuit, *short)
    for part, expected in zip(padded, ended, strict=True):
        torch.testing.assert_close(part, expected, atol=1e-6, rtol=0)


def test_nothing_of_an_episode_reaches_the_next_one():
    circuit = LTC(flagship_wiring(2))
    inputs, state, elapsed, starts = drawn(circuit, rows=9, time=12, seed=4, share=0.0)
    starts[:, 7] = True
    inputs.requires_grad_()
    outputs, _ = run_sequences(circuit, inputs, state, elapsed, starts)
    outputs[:, 7:].sum().backward()
    assert inputs.grad[:, :7].abs().max() == 0
    assert inputs.grad[:, 7:].abs().max() > 0
