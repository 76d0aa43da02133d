"""The baselines compute the published networks, so that a comparison with them means something."""

import math
import sys

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from liquid_control.circuits import (
    CTGRU,
    CTRNN,
    GRU,
    GRUD,
    LSTM,
    LTCLSTM,
    ODELSTM,
    ODERNN,
    Reservoir,
    auto_ncp,
)


def trainable(network):
    return sum(each.numel() for each in network.parameters() if each.requires_grad)


def test_the_sizes_of_the_driving_paper_s_baselines_are_the_published_ones():
    assert trainable(LSTM(32, 64, 1)) == 24_897
    assert trainable(CTRNN(32, 64, 1)) == 6_273


@pytest.mark.parametrize(("kind", "reference"), [(LSTM, torch.nn.LSTM), (GRU, torch.nn.GRU)])
def test_lstm_and_gru_compute_what_those_of_torch_do_on_either_path(kind, reference):
    network, theirs = kind(4, 7), reference(4, 7, batch_first=True)
    for name, value in theirs.state_dict().items():
        network.cell.get_parameter(name.removesuffix("_l0")).data.copy_(value)
    inputs = torch.randn(3, 5, 4)
    expected, _ = theirs(inputs)
    torch.testing.assert_close(network(inputs)[0], expected)
    # A row that rests at the end takes the loop over time for all.
    elapsed = torch.ones(3, 5)
    elapsed[2, -1] = 0
    torch.testing.assert_close(network(inputs, None, elapsed)[0][:2], expected[:2])


def test_gru_d_forgets_more_the_longer_the_gap_and_is_a_gru_without_decay():
    network, plain = GRUD(4, 7), GRU(4, 7)
    plain.cell.load_state_dict(network.cell.state_dict())
    inputs, state = torch.randn(2, 4), torch.ones(2, 7)
    with torch.no_grad():
        network.decay_weight.copy_(torch.linspace(0.1, 1, 7))
        _, after = network.step(inputs, state, 2.0)
        _, expected = plain.step(inputs, torch.exp(-2 * network.decay_weight) * state, 2.0)
        torch.testing.assert_close(after, expected)
        _, forgotten = network.step(inputs, state, 1e4)
        torch.testing.assert_close(forgotten, plain.step(inputs, None)[1])
        network.decay_weight.zero_()
        torch.testing.assert_close(
            network.step(inputs, state, 9.0)[1], plain.step(inputs, state)[1]
        )


def test_ct_gru_follows_the_printed_equations():
    network = CTGRU(3, 4, scales=5, time_unit=0.5).double()
    inputs = torch.randn(3, dtype=torch.float64)
    before, elapsed = torch.randn(4, 5, dtype=torch.float64), 0.7
    with torch.no_grad():
        _, after = network.step(inputs, before.flatten(), elapsed)
        scales = [0.5 * math.sqrt(10) ** index for index in range(5)]

        def shares(layer):
            logarithm = layer(torch.cat((inputs, before.sum(1))))
            distance = [-((logarithm - math.log(scale)) ** 2) for scale in scales]
            return torch.softmax(torch.stack(distance, 1), 1)

        read = (shares(network.retrieval) * before).sum(1)
        event = torch.tanh(network.event(torch.cat((inputs, read))))
        written = shares(network.storage)
        decay = torch.tensor([math.exp(-elapsed / scale) for scale in scales])
        expected = ((1 - written) * before + written * event[:, None]) * decay
    torch.testing.assert_close(after.view(4, 5), expected)
    assert network.outputs == 4


def flow_of_scipy(derivative, start, end):
    return solve_ivp(derivative, (0, end), start, method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1]


def test_ct_rnn_converges_to_the_solution_of_its_equation_with_order_one():
    network = CTRNN(3, 5, time_constant=0.8).double()
    inputs = torch.randn(1, 3, dtype=torch.float64)
    start = torch.randn(1, 5, dtype=torch.float64)
    weight = network.recurrent_map.weight.detach().numpy()
    bias = network.input_map(inputs)[0].detach().numpy()
    exact = flow_of_scipy(lambda _, x: -x / 0.8 + np.tanh(weight @ x + bias), start[0].numpy(), 0.5)
    errors = []
    for unfolds in (20, 40, 80):
        network.unfolds = unfolds
        with torch.no_grad():
            errors.append(np.abs(network.step(inputs, start, 0.5)[1][0].numpy() - exact).max())
    ratios = np.divide(errors[:-1], errors[1:])
    assert ((ratios > 1.9) & (ratios < 2.1)).all()


@pytest.mark.parametrize("elapsed", [0.1, 1e6])
def test_ct_rnn_stays_within_its_bounds_for_any_elapsed_time(elapsed):
    network = CTRNN(3, 5, time_constant=2.0)
    with torch.no_grad():
        _, state = network(1e6 * torch.randn(4, 10, 3), 3 * torch.ones(4, 5), elapsed)
    assert state.abs().max() <= 3 * (1 + 1e-5)


@pytest.mark.parametrize(
    ("solver", "adjoint"), [("dopri5", False), ("dopri5", True), ("rk4", False), ("rk4", True)]
)
def test_an_ode_rnn_flows_along_its_neural_ode_for_each_row_s_own_time(solver, adjoint):
    network = ODERNN(3, 5, solver=solver, adjoint=adjoint, steps=20, tolerance=1e-8).double()
    hidden = torch.randn(2, 5, dtype=torch.float64)
    elapsed = torch.tensor([0.3, 1.7], dtype=torch.float64)
    layers = [
        (layer.weight.detach().numpy(), layer.bias.detach().numpy())
        for layer in network.flow.field.layers[::2]
    ]
    with torch.no_grad():
        flowed = network.flow(hidden, elapsed.unsqueeze(1)).numpy()
    for row in range(2):
        exact = flow_of_scipy(
            lambda _, h: layers[1][0] @ np.tanh(layers[0][0] @ h + layers[0][1]) + layers[1][1],
            hidden[row].numpy(),
            float(elapsed[row]),
        )
        np.testing.assert_allclose(flowed[row], exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("solver", ["euler", "midpoint", "rk4"])
def test_solvers_with_a_fixed_step_are_those_of_torchdiffeq(solver):
    ours = ODERNN(3, 5, solver=solver, steps=3).double()
    theirs = ODERNN(3, 5, solver=solver, steps=3, adjoint=True).double()
    theirs.load_state_dict(ours.state_dict())
    inputs, elapsed = torch.randn(2, 4, 3, dtype=torch.float64), torch.rand(2, 4)
    torch.testing.assert_close(ours(inputs, None, elapsed), theirs(inputs, None, elapsed))


@pytest.mark.parametrize("options", [{"solver": "dopri5"}, {"solver": "rk4", "adjoint": True}])
@pytest.mark.parametrize("kind", [ODERNN, ODELSTM])
def test_where_torchdiffeq_cannot_go_it_says_what_to_use_instead(kind, options):
    network, inputs = kind(3, 4, 2, **options), torch.randn(2, 3, 3)
    says = r"use a solver with a fixed step, such as solver='rk4', and adjoint=False"
    run = torch.func.vmap(lambda each: network(each.unsqueeze(0), None, 0.1)[0])
    with pytest.raises(NotImplementedError, match=says):
        run(inputs)
    with pytest.raises(Exception, match=says):
        torch.export.export(network, (inputs,))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("options", [{"solver": "dopri5"}, {"solver": "rk4", "adjoint": True}])
def test_torch_compile_leaves_to_python_what_it_cannot_take(options):
    network, inputs = ODERNN(3, 4, 2, **options), torch.randn(2, 3, 3)
    compiled = torch.compile(network, backend="eager")
    torch.testing.assert_close(compiled(inputs, None, 0.1), network(inputs, None, 0.1))


@pytest.mark.parametrize("kind", [ODERNN, ODELSTM])
def test_the_adjoint_method_gives_the_gradients_of_back_propagation(kind):
    torch.manual_seed(3)
    direct = kind(3, 4, 2, solver="dopri5", tolerance=1e-9).double()
    adjoint = kind(3, 4, 2, solver="dopri5", tolerance=1e-9, adjoint=True).double()
    adjoint.load_state_dict(direct.state_dict())
    inputs = torch.randn(2, 3, 3, dtype=torch.float64)
    gradients = []
    for network in (direct, adjoint):
        elapsed = torch.tensor([[0.2, 0.5, 0.1], [0.9, 0.3, 0.4]], dtype=torch.float64)
        elapsed.requires_grad_()
        network(inputs, None, elapsed)[0].square().sum().backward()
        gradients.append([elapsed.grad, *(each.grad for each in network.parameters())])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_the_memory_of_an_ode_lstm_does_not_flow():
    network = ODELSTM(3, 4, solver="rk4")
    inputs = torch.randn(2, 3)
    start = torch.randn(2, 4), torch.randn(2, 4)
    (short, kept), (long, same) = (network.step(inputs, start, dt)[1] for dt in (0.1, 0.9))
    assert torch.equal(kept, same)
    assert not torch.equal(short, long)


def test_without_torchdiffeq_the_ode_baselines_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    with pytest.raises(ModuleNotFoundError, match=r"liquid_control\[train\]"):
        ODERNN(3, 4)
    ODERNN(3, 4, solver="rk4")(torch.randn(1, 2, 3))


def test_a_reservoir_learns_a_memory_task_by_regression_alone():
    torch.manual_seed(0)
    reservoir = Reservoir(1, 100, 1, time_constant=0.2, seed=1)
    signal = torch.rand(4, 300, 1) - 0.5
    delayed = torch.roll(signal, 3, 1)  # what came three samples before
    error = reservoir.fit(signal[:3], delayed[:3], 1.0, washout=20)
    outputs, _ = reservoir(signal[3:], None, 1.0)
    assert error < 0.01 * delayed.var()
    assert (outputs - delayed[3:])[:, 20:].square().mean() < 0.02 * delayed.var()


def test_a_reservoir_s_readout_is_the_solution_of_the_ridge_regression():
    reservoir = Reservoir(2, 9, 2, seed=3)
    inputs, targets = torch.randn(3, 30, 2), torch.randn(3, 30, 2)
    reservoir.fit(inputs, targets, 0.5, ridge=0.01, washout=5)
    states, state = [], None
    for time in range(30):
        _, state = reservoir.step(inputs[:, time], state, 0.5)
        states.append(state)
    features = torch.stack(states, 1)[:, 5:].flatten(0, 1).double().requires_grad_(False)
    weight = reservoir.readout.weight.double().clone().requires_grad_()
    bias = reservoir.readout.bias.double().clone().requires_grad_()
    wanted = targets[:, 5:].flatten(0, 1).double()
    loss = (features @ weight.T + bias - wanted).square().sum(1).mean()
    (loss + 0.01 * weight.square().sum()).backward()
    assert weight.grad.abs().max() < 1e-5
    assert bias.grad.abs().max() < 1e-5


def test_a_reservoir_forgets_how_it_began_and_has_the_asked_radius():
    reservoir = Reservoir(2, 60, 1, radius=0.8, seed=2)
    radius = torch.linalg.eigvals(reservoir.recurrent).abs().max()
    assert radius == pytest.approx(0.8, rel=1e-4)
    reservoir.fit(torch.randn(1, 50, 2), torch.randn(1, 50, 1))
    inputs = torch.randn(1, 300, 2)
    ends = [reservoir(inputs, start * torch.ones(1, 60), 1.0)[1] for start in (-1.0, 1.0)]
    torch.testing.assert_close(*ends, rtol=0, atol=1e-5)


def test_a_reservoir_without_a_readout_says_so():
    with pytest.raises(ValueError, match="call fit"):
        Reservoir(2, 10, 1)(torch.randn(1, 3, 2))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LSTM(3, 0), "at least one input, one unit and one output, got 3, 0"),
        (lambda: CTRNN(3, 4, time_constant=0.0), "time constant above 0 s"),
        (lambda: CTRNN(3, 4, unfolds=0), "1 or more unfolds"),
        (lambda: ODERNN(3, 4, solver="magic"), "got 'magic'"),
        (lambda: ODERNN(3, 4, tolerance=0.0), "tolerance above 0"),
        (lambda: Reservoir(3, 4, 1, density=0.0), "density above 0"),
        (lambda: Reservoir(3, 4, 1).fit(torch.ones(2, 3, 3), torch.ones(2, 3, 2)), r"\(2, 3, 2\)"),
        (
            lambda: Reservoir(3, 4, 1).fit(torch.ones(2, 3, 3), torch.ones(2, 3, 1), washout=3),
            "leave some of 3 samples, got 3",
        ),
        (lambda: LTCLSTM(3, auto_ncp(4, 10, 2), 6), "for 4 inputs, the network has 6"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_numbers(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_the_hybrid_s_liquid_neurons_keep_the_bounds_of_an_ltc():
    network = LTCLSTM(3, auto_ncp(6, 10, 2), 6)
    with torch.no_grad():
        _, (neurons, hidden, _) = network(1e6 * torch.randn(4, 10, 3), None, 1e3)
        ends = [network.liquid.leak_potential.abs().max(), torch.tensor(1.0)]  # |E| = 1
    assert neurons.abs().max() <= max(ends) * (1 + 1e-5)
    assert hidden.abs().max() <= 1
