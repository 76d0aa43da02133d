"""Each solver converges to the LTC equation with its order, and stays stable or refuses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from liquid_control.circuits import LTC, LTCLSTM, AutoNCP, auto_ncp
from liquid_control.circuits.solvers import MOST_SUBSTEPS

WIRING = auto_ncp(4, 10, 2, seed=1)
ORDERS = {"fused": 1, "euler": 1, "rk4": 4}


def scrambled(wiring=WIRING, seed=0, **options):
    torch.manual_seed(seed)
    network = LTC(wiring, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return network


def exact(network, inputs, start, elapsed):
    """State after holding the inputs for the elapsed time, by scipy from the printed equation."""
    wiring = network.wiring
    with torch.no_grad():
        mapped = (inputs * network.input_weight + network.input_bias).numpy()
        parameters = [
            (np.argwhere(polarity), *(each.numpy() for each in values))
            for polarity, values in (
                (wiring.sensory, _values(network.sensory)),
                (wiring.adjacency, _values(network.recurrent)),
            )
        ]
        leak, capacitance = network.leak_conductance.numpy(), network.capacitance.numpy()
        potential = network.leak_potential.numpy()

    def derivative(_, x):
        current = leak * (potential - x)
        for (pairs, weight, slope, midpoint, reversal), source in zip(
            parameters, (mapped, x), strict=True
        ):
            before, after = pairs.T
            activation = 1 / (1 + np.exp(-slope * (source[before] - midpoint)))
            np.add.at(current, after, weight * activation * (reversal - x[after]))
        return current / capacitance

    return solve_ivp(
        derivative, (0, elapsed), start.numpy(), method="DOP853", rtol=1e-12, atol=1e-13
    ).y[:, -1]


def _values(synapses):
    return synapses.weight, synapses.slope, synapses.midpoint, synapses.reversal


@pytest.mark.parametrize("solver", ORDERS)
@pytest.mark.parametrize("seed", range(3))
def test_each_solver_converges_with_its_order_to_a_tight_adaptive_solution(solver, seed):
    network = scrambled(seed=seed, time_unit=1.0, solver=solver).double()
    inputs = torch.rand(4, dtype=torch.float64)
    start = torch.randn(10, dtype=torch.float64)
    expected = exact(network, inputs, start, 1.0)
    steps = np.array([64, 128, 256])
    errors = []
    for unfolds in steps:
        network.unfolds = int(unfolds)
        with torch.no_grad():
            _, state = network.step(inputs, start, 1.0)
        errors.append(np.abs(state.numpy() - expected).max())
    order = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert order == pytest.approx(ORDERS[solver], abs=0.1 * ORDERS[solver])
    assert errors[-1] < (1e-6 if solver == "rk4" else 3e-2)


@pytest.mark.parametrize("solver", ORDERS)
def test_many_short_samples_come_to_what_one_long_one_does(solver):
    network = scrambled(time_unit=1.0, solver=solver, unfolds=60).double()
    inputs = torch.rand(1, 1, 4, dtype=torch.float64)
    with torch.no_grad():
        _, once = network(inputs, None, 0.6)
        network.unfolds = 6
        _, often = network(inputs.expand(1, 10, 4), None, 0.06)
    torch.testing.assert_close(often, once, rtol=1e-9, atol=1e-9)


def bounds(network, start):
    """Smallest and largest of {initial state, leak potential, incoming reversals}, (units,)."""
    ends = [network.leak_potential.detach()]
    for synapses in (network.sensory, network.recurrent):
        reversal = synapses.target * synapses.reversal.detach().unsqueeze(1)
        ends += list(torch.where(synapses.target > 0, reversal, ends[0]))
    low = torch.minimum(start, torch.stack(ends).amin(0))
    high = torch.maximum(start, torch.stack(ends).amax(0))
    return low, high, 1e-5 * (1 + torch.maximum(low.abs(), high.abs()))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([0.0, 1.0, 1e3, 1e6]),
    state_size=st.sampled_from([0.0, 1.0, 1e6]),
    elapsed=st.sampled_from([0.0, 1e-6, 0.03, 1.0, 1e3, 1e6]),
)
def test_the_fused_solver_keeps_its_bounds_for_any_input_state_and_elapsed_time(
    seed, size, state_size, elapsed
):
    network = scrambled(seed=seed)
    inputs, start = size * torch.randn(5, 4, 4), state_size * torch.randn(5, 10)
    low, high, tolerance = bounds(network, start)
    with torch.no_grad():
        _, state = network(inputs, start, elapsed)  # by a fused kernel, where numba is installed
        stepped, alone = start, start[:1]
        for time in range(4):
            _, stepped = network.step(inputs[:, time], stepped, elapsed)
            _, alone = network.step(inputs[:1, time], alone, elapsed)
        constants = network.time_constants(inputs[:, -1], state)
        incoming = sum(each.weight @ each.target for each in (network.sensory, network.recurrent))
        slowest = network.capacitance / network.leak_conductance
        fastest = network.capacitance / (network.leak_conductance + incoming)
    for reached in (state, stepped, alone):
        rows = slice(len(reached))
        assert (reached >= (low - tolerance)[rows]).all()
        assert (reached <= (high + tolerance)[rows]).all()
    assert (constants <= slowest * (1 + 1e-5)).all()
    assert (constants >= fastest * (1 - 1e-5)).all()


@settings(deadline=None, max_examples=40)
@given(
    solver=st.sampled_from(["euler", "rk4"]),
    seed=st.integers(0, 10**6),
    size=st.sampled_from([1.0, 1e6]),
    elapsed=st.sampled_from([0.01, 0.3, 2.0]),
)
def test_the_explicit_solvers_take_as_many_steps_as_staying_within_bounds_needs(
    solver, seed, size, elapsed
):
    # With 6 steps for 1 s or 2 s, the reference was seen beyond |x| = 134 and at infinity.
    network = scrambled(seed=seed, time_unit=1.0, solver=solver)
    inputs, start = size * torch.randn(3, 4, 4), torch.randn(3, 10)
    low, high, tolerance = bounds(network, start)
    with torch.no_grad():
        _, state = network(inputs, start, elapsed)
    slack = tolerance if solver == "euler" else 0.05 * (high - low) + tolerance
    assert (state >= low - slack).all()
    assert (state <= high + slack).all()


@pytest.mark.parametrize("solver", ["euler", "rk4"])
def test_the_explicit_solvers_refuse_what_would_take_too_many_steps(solver):
    network = LTC(WIRING, solver=solver)
    with pytest.raises(ValueError, match=rf"at most {MOST_SUBSTEPS} steps.*solver='fused'"):
        network(torch.rand(1, 3, 4), None, 1e4)
    LTC(WIRING)(torch.rand(1, 3, 4), None, 1e4)


@pytest.mark.parametrize("solver", ["euler", "rk4"])
def test_in_a_trace_the_explicit_solvers_return_nan_where_they_would_run_away(solver):
    network = LTC(WIRING, solver=solver, time_unit=1.0)
    inputs, elapsed = torch.rand(2, 3, 4), torch.tensor([[0.05], [50.0]]).expand(2, 3)
    expected, _ = network(inputs[:1], None, 0.05)

    def run(inputs, elapsed):
        return network(inputs.unsqueeze(0), None, elapsed.unsqueeze(0))[0][0]

    compiled = torch.compile(network, backend="eager", fullgraph=True)
    for outputs in (torch.func.vmap(run)(inputs, elapsed), compiled(inputs, None, elapsed)[0]):
        torch.testing.assert_close(outputs[:1], expected, rtol=1e-5, atol=1e-6)
        assert outputs[1].isnan().all()


@pytest.mark.parametrize("network", [LTC, LTCLSTM])
def test_all_networks_with_an_ltc_take_a_solver_and_refuse_unknown_ones(network):
    outputs = {
        solver: _seeded(network, solver)(torch.ones(1, 5, 4), None, 0.5)[0] for solver in ORDERS
    }
    assert not torch.equal(outputs["fused"], outputs["rk4"])
    torch.testing.assert_close(outputs["fused"], outputs["rk4"], rtol=0, atol=0.3)
    with pytest.raises(ValueError, match="got 'magic' with 6"):
        _seeded(network, "magic")


def _seeded(network, solver):
    torch.manual_seed(0)
    return network(4, AutoNCP(10, 2), solver=solver)


def test_steps_must_be_one_or_more():
    with pytest.raises(ValueError, match="1 or more unfolds, got 'fused' with 0"):
        LTC(WIRING, unfolds=0)
    with pytest.raises(ValueError, match="1 or more unfolds, got 'fused' with 0"):
        LTC(4, WIRING, ode_unfolds=0)
    with pytest.raises(ValueError, match=r"1 or more unfolds, got 'fused' with 2\.5"):
        LTC(WIRING, unfolds=2.5)
