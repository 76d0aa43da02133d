"""The LTC cell computes the published equations, within the published bounds."""

from contextlib import nullcontext

import ncps.torch
import ncps.wirings
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liquid_control.circuits import LTC, Wiring, flagship_wiring, ncp
from liquid_control.circuits.fused_sequence import torch_operations


def parameters_of(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_253_synapses_and_19_neurons_make_1069_parameters_and_the_affine_maps():
    circuit = LTC(ncp())
    input_map, output_map = 2 * 32, 2 * 1
    assert parameters_of(circuit) == 253 * 4 + 19 * 3 + input_map + output_map
    assert parameters_of(circuit.sensory) + parameters_of(circuit.recurrent) == 253 * 4


def reference_of(circuit):
    """An ncps LTC with the same wiring and weights; its neurons count motor, command, inter."""
    wiring = circuit.wiring
    inter, command = wiring.inter, wiring.command
    order = [*range(inter + command, wiring.units), *range(inter, inter + command), *range(inter)]
    # Their base class: building an ncps.wirings.NCP twice, as LTC does, would add synapses.
    theirs = ncps.wirings.Wiring(wiring.units)
    theirs.set_input_dim(wiring.inputs)
    theirs.set_output_dim(wiring.motor)
    theirs.adjacency_matrix = wiring.adjacency[np.ix_(order, order)].astype(np.int32)
    theirs.sensory_adjacency_matrix = wiring.sensory[:, order].astype(np.int32)
    reference = ncps.torch.LTC(
        wiring.inputs, theirs, batch_first=True, implicit_param_constraints=False
    )
    cell = reference.rnn_cell
    with torch.no_grad():
        for synapses, polarity, prefix, columns in (
            (circuit.sensory, wiring.sensory, "sensory_", order),
            (circuit.recurrent, wiring.adjacency, "", order),
        ):
            rows = order if not prefix else list(range(wiring.inputs))
            pairs = tuple(np.argwhere(polarity).T)
            for name, value in (
                ("w", synapses.weight),
                ("mu", synapses.midpoint),
                ("sigma", synapses.slope),
                ("erev", synapses.reversal),
            ):
                dense = torch.zeros(polarity.shape)
                dense[pairs] = value
                getattr(cell, prefix + name).copy_(dense[rows][:, columns])
        cell.gleak.copy_(circuit.leak_conductance[order])
        cell.vleak.copy_(circuit.leak_potential[order])
        cell.cm.copy_(circuit.capacitance[order])
        for name in ("input", "output"):
            getattr(cell, f"{name}_w").copy_(getattr(circuit, f"{name}_weight"))
            getattr(cell, f"{name}_b").copy_(getattr(circuit, f"{name}_bias"))
    return reference, order


def scrambled(outputs=2, seed=0, **options):
    """A circuit whose parameters, affine maps and reversal potentials too, are far from initial."""
    torch.manual_seed(seed)
    circuit = LTC(flagship_wiring(outputs, seed=seed), **options)
    with torch.no_grad():
        for parameter in circuit.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return circuit


@pytest.mark.parametrize("outputs", [1, 2, 4])
@pytest.mark.parametrize("elapsed", [1.0, 1 / 30])
def test_it_agrees_with_the_reference_library_given_the_same_weights(outputs, elapsed):
    circuit = scrambled(outputs, seed=outputs, time_unit=1.0)
    reference, order = reference_of(circuit)
    inputs, state = torch.randn(3, 20, 32), torch.randn(3, 19)
    with torch.no_grad():
        ours, our_state = circuit(inputs, state, elapsed)
        times = torch.full((1, 20), elapsed)  # a batch of elapsed times is beyond the reference
        for row in range(3):
            theirs, their_state = reference(
                inputs[row : row + 1], state[row : row + 1, order], timespans=times
            )
            torch.testing.assert_close(ours[row], theirs[0], rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(our_state[row, order], their_state[0], rtol=1e-5, atol=1e-5)


def test_gradients_agree_with_the_reference_library():
    circuit = scrambled(time_unit=1.0)
    reference, order = reference_of(circuit)
    inputs = torch.randn(3, 5, 32)
    circuit(inputs, None, 1.0)[0].square().sum().backward()
    reference(inputs)[0].square().sum().backward()
    cell = reference.rnn_cell
    torch.testing.assert_close(circuit.leak_potential.grad[order], cell.vleak.grad)
    torch.testing.assert_close(circuit.input_weight.grad, cell.input_w.grad, rtol=1e-4, atol=1e-5)
    source, target = np.argwhere(circuit.wiring.adjacency).T
    rank = np.argsort(order)
    for ours, theirs in (
        (circuit.recurrent.reversal, cell.erev),
        (circuit.recurrent.slope, cell.sigma),
    ):
        expected = theirs.grad[rank[source], rank[target]]
        torch.testing.assert_close(ours.grad, expected, rtol=1e-4, atol=1e-5)


def test_neurons_without_a_synapse_between_them_do_not_feel_one_another():
    circuit = scrambled(1).double()
    state = torch.rand(1, 19, dtype=torch.float64, requires_grad=True)
    inputs = torch.rand(1, 32, dtype=torch.float64, requires_grad=True)
    circuit.unfolds = 1
    for target in range(19):
        _, after = circuit.step(inputs, state, 0.1)
        by_state, by_input = torch.autograd.grad(after[0, target], (state, inputs))
        linked = torch.tensor(circuit.wiring.adjacency[:, target] != 0)
        linked[target] = True
        assert (by_state[0, ~linked] == 0).all()
        assert (by_input[0, torch.tensor(circuit.wiring.sensory[:, target] == 0)] == 0).all()
        assert (by_input[0, torch.tensor(circuit.wiring.sensory[:, target] != 0)] != 0).all()


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(0, 100),
    elapsed=st.floats(0, 1e6, width=32),
)
def test_states_stay_within_initial_state_leak_and_reversal_potentials(seed, scale, elapsed):
    circuit = scrambled(seed=seed)
    inputs, start = scale * torch.randn(4, 6, 32), scale * torch.randn(4, 19)
    ends = [circuit.leak_potential.detach()]
    for synapses in (circuit.sensory, circuit.recurrent):
        reversal = synapses.target * synapses.reversal.detach().unsqueeze(1)
        ends += list(torch.where(synapses.target > 0, reversal, ends[0]))
    low = torch.minimum(start, torch.stack(ends).amin(0))
    high = torch.maximum(start, torch.stack(ends).amax(0))
    tolerance = 1e-5 * (1 + torch.maximum(low.abs(), high.abs()))
    with torch.no_grad():
        for time in range(1, 7):
            _, state = circuit(inputs[:, :time], start, elapsed)
            assert (state >= low - tolerance).all()
            assert (state <= high + tolerance).all()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), scale=st.floats(0, 100))
def test_time_constants_stay_within_the_published_bounds(seed, scale):
    circuit = scrambled(seed=seed)
    with torch.no_grad():
        constants = circuit.time_constants(scale * torch.randn(8, 32), scale * torch.randn(8, 19))
        incoming = sum(
            synapses.weight @ synapses.target for synapses in (circuit.sensory, circuit.recurrent)
        )
        slowest = circuit.capacitance / circuit.leak_conductance
        fastest = circuit.capacitance / (circuit.leak_conductance + incoming)
    assert (constants <= slowest * (1 + 1e-5)).all()
    assert (constants >= fastest * (1 - 1e-5)).all()


def test_without_synapses_the_state_leaks_with_its_time_constant():
    wiring = Wiring(1, 0, 0, 1, np.zeros((1, 1)), np.zeros((1, 1)))
    circuit = LTC(wiring, unfolds=500)
    with torch.no_grad():
        tau = circuit.time_constants(torch.zeros(1, 1), torch.zeros(1, 1))
        _, state = circuit.step(torch.zeros(1, 1), torch.ones(1, 1), float(tau))
    leak = circuit.leak_potential.detach()
    expected = leak + (1 - leak) * torch.exp(torch.tensor(-1.0))
    torch.testing.assert_close(state[0], expected, rtol=1e-3, atol=1e-3)


def test_no_elapsed_time_leaves_the_state_to_the_bit():
    circuit = scrambled()
    inputs, state = torch.randn(2, 3, 32), torch.randn(2, 19)
    elapsed = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.0, 0.1]])
    _, after = circuit(inputs, state, elapsed)
    assert torch.equal(after[0], state[0])
    assert not torch.equal(after[1], state[1])


@pytest.mark.parametrize("seconds", [1e36, 3e38])
@pytest.mark.parametrize("by", [nullcontext, torch_operations])
def test_after_the_longest_of_times_it_is_at_rest_and_gradients_are_finite(by, seconds):
    circuit = LTC(flagship_wiring(1))
    inputs, elapsed = torch.rand(4, 8, 32), torch.full((4, 8), seconds, requires_grad=True)
    with by():
        outputs, _ = circuit(inputs, None, elapsed)
        rested, _ = circuit(inputs, None, 1e9)
        with torch.no_grad():
            step, _ = circuit.step(inputs[:1, 0], None, seconds)
    torch.testing.assert_close(outputs, rested)
    torch.testing.assert_close(step, outputs[:1, 0])
    for gradient in torch.autograd.grad(outputs.sum(), [*circuit.parameters(), elapsed]):
        assert gradient.isfinite().all()


def test_in_half_precision_a_long_break_leaves_gradients_finite():
    circuit = LTC(flagship_wiring(1)).half()
    outputs, _ = circuit(torch.rand(4, 8, 32), None, 1000.0)
    for gradient in torch.autograd.grad(outputs.float().sum(), circuit.parameters()):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("elapsed", [-0.1, float("nan"), torch.tensor([0.1, -1e-6, 0.1])])
def test_time_that_runs_backwards_is_refused(elapsed):
    with pytest.raises(ValueError, match="0 s or more"):
        LTC(ncp())(torch.zeros(2, 3, 32), None, elapsed)


@pytest.mark.parametrize("shape", [(2,), (3, 2), (1,), (2, 3, 2)])
def test_elapsed_times_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="shapes"):
        LTC(ncp())(torch.zeros(2, 3, 32), None, torch.ones(shape))


def test_a_state_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 19\), got \(19,\)"):
        LTC(ncp())(torch.zeros(2, 3, 32), torch.zeros(19), 0.1)


@pytest.mark.parametrize("batch", [1, 19])
def test_every_row_has_its_own_elapsed_times(batch):
    # 19 rows: a batch as large as the number of neurons must not be mistaken for them.
    circuit = scrambled()
    inputs, elapsed = torch.randn(batch, 4, 32), torch.rand(batch, 4)
    together, _ = circuit(inputs, None, elapsed)
    for row in range(batch):
        alone, _ = circuit(inputs[row : row + 1], None, elapsed[row])
        torch.testing.assert_close(together[row], alone[0])


def test_a_sequence_equals_its_steps():
    circuit = scrambled()
    inputs, elapsed = torch.randn(3, 5, 32), torch.rand(3, 5)
    outputs, last = circuit(inputs, None, elapsed)
    prepared, state = circuit.prepare(), None
    for time in range(5):
        output, state = circuit.step(inputs[:, time], state, elapsed[:, time], prepared)
        torch.testing.assert_close(output, outputs[:, time])
    torch.testing.assert_close(state, last)


def test_weights_handed_in_by_a_functional_call_take_effect():
    circuit, other = scrambled(seed=1), scrambled(seed=2)
    inputs = torch.randn(2, 3, 32)
    weights = dict(other.named_parameters())
    other_wiring = LTC(circuit.wiring)
    other_wiring.load_state_dict({name: value.detach() for name, value in weights.items()})
    called, _ = torch.func.functional_call(circuit, weights, (inputs, None, 0.1))
    torch.testing.assert_close(called, other_wiring(inputs, None, 0.1)[0])


@pytest.mark.parametrize("seed", range(10))
def test_one_wiring_serves_two_circuits(seed):
    wiring = ncp(seed=seed)
    before = wiring.to_dict()
    assert parameters_of(LTC(wiring)) == parameters_of(LTC(wiring)) == 1135
    assert wiring.to_dict() == before


def test_autocast_does_not_lower_the_circuit_s_precision():
    circuit, inputs = scrambled(), torch.randn(2, 4, 32)
    plain, _ = circuit(inputs, None, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        cast, state = circuit(inputs, None, 0.1)
        step, _ = circuit.step(inputs[:, 0], None, 0.1)
    assert cast.dtype == state.dtype == torch.float32
    assert torch.equal(plain, cast)
    torch.testing.assert_close(step, plain[:, 0])


def test_double_precision_gradients_are_those_of_finite_differences():
    circuit = scrambled(1).double()
    circuit.unfolds = 2
    inputs = torch.randn(2, 2, 32, dtype=torch.float64, requires_grad=True)
    state = torch.randn(2, 19, dtype=torch.float64, requires_grad=True)
    elapsed = torch.rand(2, 2, dtype=torch.float64) + 0.01
    elapsed.requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: circuit(*given), (inputs, state, elapsed))


@pytest.mark.parametrize("outputs", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_a_fresh_circuit_settles_at_zero_and_can_reach_beyond_full_command(outputs, seed):
    torch.manual_seed(seed)
    circuit = LTC(flagship_wiring(outputs, seed=seed))
    with torch.no_grad():
        rest, _ = circuit(torch.full((1, 60, 32), 0.5), None, 1 / 30)
        circuit.unfolds = 1
        assert rest[:, -1].abs().max() < 1e-3
        first = 19 - outputs
        commands = slice(first - 6, first)
        for motor in range(outputs):
            polarity = torch.tensor(circuit.wiring.adjacency[commands, first + motor].tolist())
            for sign in (1, -1):
                # Command neurons that silence one kind of synapse and excite the other.
                state = torch.zeros(1, 19)
                state[0, commands] = 50.0 * sign * polarity
                assert sign * _held(circuit, state)[0, motor] > 1


def _held(circuit, state):
    """Outputs to which the motor neurons settle while the other neurons keep their state."""
    with torch.no_grad():
        for _ in range(50):
            outputs, after = circuit.step(torch.zeros(1, 32), state, 0.1)
            state = torch.cat(
                (state[:, : -circuit.wiring.motor], after[:, -circuit.wiring.motor :]), 1
            )
    return outputs


def test_a_circuit_learns_to_follow_an_input_within_16_frames():
    circuit = LTC(ncp())
    optimiser = torch.optim.Adam(circuit.parameters(), 0.01)
    for _ in range(200):
        target = torch.empty(32, 1).uniform_(-0.9, 0.9)
        inputs = torch.full((32, 16, 32), 0.5)
        inputs[..., :8] += 0.5 * target.unsqueeze(2)
        outputs, _ = circuit(inputs, None, 1 / 30)
        loss = (outputs[:, 4:, 0] - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.02  # the variance of the target is 0.27
