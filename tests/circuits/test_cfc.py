"""CfC networks compute the published closed form, and on a wiring use nothing but its synapses."""

import math

import numpy as np
import pytest
import torch

from liquid_control.circuits import AutoNCP, CfC, Wiring, auto_ncp, fully_connected, ncp

MODES = ["default", "no_gate", "pure"]


def double(network):
    """In double precision, with parameters far from those it was made with."""
    with torch.no_grad():
        for parameter in network.double().parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def closed_form(mode, f1, f2, a, b, amplitude, w_tau, elapsed):
    """The equations as they are printed, for numbers."""
    if mode == "pure":
        return amplitude - amplitude * math.exp(-elapsed * (abs(w_tau) + abs(f1))) * f1
    gate = 1 / (1 + math.exp(-(a * elapsed + b)))
    if mode == "no_gate":
        return math.tanh(f1) + gate * math.tanh(f2)
    return math.tanh(f1) * (1 - gate) + math.tanh(f2) * gate


@pytest.mark.parametrize("mode", MODES)
def test_a_wired_neuron_computes_the_printed_equation_over_its_synapses(mode):
    wiring = auto_ncp(4, 10, 2, seed=1)
    network = double(CfC(wiring, mode=mode))
    cell = network.cell
    inputs = torch.randn(1, 4, dtype=torch.float64)
    before = torch.randn(1, 10, dtype=torch.float64)
    with torch.no_grad():
        _, after = network.step(inputs, before, 0.7)
        polarity = np.concatenate((wiring.sensory, wiring.adjacency))
        weight = torch.cat(
            (torch.nn.functional.softplus(cell.raw_weight) * cell.polarity, cell.gate_weight)
        )
        ends = np.cumsum([0, wiring.inter, wiring.command, wiring.motor])
        layer_of = np.searchsorted(ends, np.arange(10), side="right")
        for target in range(10):
            heads = []
            for head in range(len(cell.bias)):
                total = cell.bias[head, target] + cell.own_weight[head, target] * before[0, target]
                for synapse, (source, to) in enumerate(np.argwhere(polarity)):
                    if to != target:
                        continue
                    if source < 4:
                        value = inputs[0, source]
                    elif layer_of[source - 4] < layer_of[target]:
                        value = after[0, source - 4]
                    else:
                        value = before[0, source - 4]
                    total = total + weight[head, synapse] * value
                heads.append(float(total))
            heads += [0.0] * (4 - len(heads))
            form = cell.closed_form
            constants = (form.A[target], form.w_tau[target]) if mode == "pure" else (0, 0)
            expected = closed_form(mode, *heads, *(float(value) for value in constants), 0.7)
            assert float(after[0, target]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_a_dense_neuron_computes_the_printed_equation_behind_the_backbone(mode):
    network = double(CfC(3, 2, mode=mode, backbone_units=5))
    cell = network.cell
    inputs = torch.randn(1, 3, dtype=torch.float64)
    before = torch.randn(1, 2, dtype=torch.float64)
    with torch.no_grad():
        _, after = network.step(inputs, before, 0.7)
        hidden = cell.first.weight @ torch.cat((inputs, before), 1)[0] + cell.first.bias
        hidden = 1.7159 * torch.tanh(0.666 * hidden)
        values = (cell.rest[-1].weight @ hidden + cell.rest[-1].bias).view(-1, 2)
    for neuron in range(2):
        heads = [float(value) for value in values[:, neuron]] + [0.0] * (4 - len(values))
        form = cell.closed_form
        constants = (
            (form.A[neuron].detach(), form.w_tau[neuron].detach()) if mode == "pure" else (0, 0)
        )
        expected = closed_form(mode, *heads, *(float(value) for value in constants), 0.7)
        assert float(after[0, neuron]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "wiring", [ncp(8, 6, 4, 2, 3, 2, 5, 3), fully_connected(3, 6, 2, self_connections=False)]
)
def test_a_wired_network_feels_its_synapses_and_itself_alone(mode, wiring):
    network = double(CfC(wiring, mode=mode))
    units = wiring.units
    inputs = torch.randn(1, wiring.inputs, dtype=torch.float64, requires_grad=True)
    state = torch.randn(1, units, dtype=torch.float64, requires_grad=True)
    # Paths within one sample: direct, or through neurons of earlier layers.
    layer = np.repeat([0, 1, 2], [wiring.inter, wiring.command, wiring.motor])
    forward = (wiring.adjacency != 0) & (layer[:, None] < layer[None])
    reach = np.linalg.matrix_power(np.eye(units) + forward, 2)
    backward = ((wiring.adjacency != 0) & ~forward) | np.eye(units, dtype=bool)
    by_state_expected = backward @ reach > 0
    by_input_expected = (wiring.sensory != 0) @ reach > 0
    _, after = network.step(inputs, state, 0.7)
    for target in range(units):
        by_input, by_state = torch.autograd.grad(
            after[0, target], (inputs, state), retain_graph=True
        )
        assert ((by_state[0] != 0).numpy() == by_state_expected[:, target]).all()
        assert ((by_input[0] != 0).numpy() == by_input_expected[:, target]).all()


@pytest.mark.parametrize("mode", MODES)
def test_only_existing_synapses_have_parameters(mode):
    wiring = ncp()
    count = sum(parameter.numel() for parameter in CfC(wiring, mode=mode).parameters())
    heads, constants = (1, 2 * 19) if mode == "pure" else (4, 0)
    assert count == heads * (wiring.synapses + 2 * 19) + constants


def test_training_cannot_turn_a_synapse_s_polarity():
    network = CfC(ncp(4, 6, 4, 1, 4, 2, 3, 3))
    optimiser = torch.optim.SGD(network.parameters(), 10.0)
    for _ in range(20):
        output, _ = network(torch.randn(4, 5, 4), None, 0.1)
        optimiser.zero_grad()
        (output - 5).square().mean().backward()
        optimiser.step()
    wiring, layers = network.wiring, network.prepare()
    for layer in layers:
        width = layer.sensory.shape[1] // 4
        for polarity, weight in (
            (wiring.sensory, layer.sensory),
            (wiring.adjacency - np.diag(np.diag(wiring.adjacency)), layer.recurrent),
        ):
            signs = torch.from_numpy(polarity[:, layer.neurons].copy())
            for head in range(2):
                values = weight[:, head * width : (head + 1) * width]
                assert (values[signs > 0] >= 0).all()
                assert (values[signs < 0] <= 0).all()


def test_an_input_reaches_the_motor_neurons_within_its_sample():
    network = CfC(ncp())
    output = [network.step(torch.full((1, 32), value), None, 0.1)[0] for value in (0.0, 1.0)]
    assert not torch.equal(*output)


def test_a_backbone_on_a_wiring_is_refused():
    for option in ({"backbone_units": 3}, {"backbone_layers": 2}, {"backbone_dropout": 0.1}):
        with pytest.raises(ValueError, match="has no backbone"):
            CfC(3, AutoNCP(12, 2), **option)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "fast"},
        {"activation": "sin"},
        {"backbone_layers": -1},
        {"backbone_units": 0},
        {"backbone_dropout": 1.0},
    ],
)
def test_options_that_do_not_exist_are_refused(options):
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        CfC(3, 4, **options)


def test_dropout_acts_in_training_alone():
    network = CfC(3, 4, backbone_dropout=0.5)
    inputs = torch.randn(2, 5, 3)
    assert not torch.equal(network(inputs)[0], network(inputs)[0])
    network.eval()
    assert torch.equal(network(inputs)[0], network(inputs)[0])


@pytest.mark.parametrize("units", [16, AutoNCP(16, 2)], ids=["dense", "wired"])
@pytest.mark.parametrize("mode", MODES)
def test_it_learns_to_follow_an_input(units, mode):
    network = CfC(4, units, proj_size=1, mode=mode)
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(400 if mode == "pure" else 150):  # its range is narrower, so it takes longer
        target = torch.empty(32, 1).uniform_(-0.9, 0.9)
        outputs, _ = network(target.unsqueeze(2).expand(32, 6, 4))
        loss = (outputs[:, 3:, 0] - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.03  # the variance of the target is 0.27


def test_a_wiring_without_layers_between_serves_too():
    wiring = Wiring(1, 0, 0, 1, np.ones((1, 1)), np.zeros((1, 1)))
    output, state = CfC(wiring)(torch.ones(2, 3, 1))
    assert output.shape == (2, 3, 1)
    assert torch.equal(output[:, -1], state)
