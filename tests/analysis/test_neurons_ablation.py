"""Cutting a synapse is building the circuit without it, and finds the synapses that matter."""

import numpy as np
import pytest
import torch

from liquid_control.analysis.ablation import cut, cut_outputs, synapses_of
from liquid_control.circuits import GRU, LTC, CfC, Wiring, flagship_wiring
from liquid_control.errors import InputError

CHAIN = ["sensory 0 to inter 0", "inter 0 to command 0", "command 0 to motor 0"]
KINDS = {
    "LTC": lambda: LTC(flagship_wiring(1)),
    "LTC with mixed memory": lambda: LTC(flagship_wiring(1), mixed_memory=True),
    "CfC": lambda: CfC(flagship_wiring(2), proj_size=2),
    "CfC with mixed memory": lambda: CfC(flagship_wiring(1), mixed_memory=True),
}


@pytest.fixture(params=KINDS)
def circuit(request):
    return KINDS[request.param]().eval()


def sequence(samples: int, inputs: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(samples, inputs), 0.02 + 0.03 * torch.rand(samples)


@torch.no_grad()
def alone(circuit, features, elapsed):
    return circuit(features[None], None, elapsed[None])[0][0]


def test_the_synapses_that_matter_by_construction_are_found_first(chain):
    features, elapsed = sequence(40)
    synapses = synapses_of(chain)
    cuts = [(), *((each.place,) for each in synapses)]
    outputs = cut_outputs(chain, features, elapsed, cuts)
    change = (outputs[1:] - outputs[:1]).square().mean((1, 2)).sqrt()
    order = change.argsort(descending=True).tolist()
    assert {synapses[place].text for place in order[:3]} == set(CHAIN)
    assert change[order[2]] > 50 * change[order[3]]


def test_a_cut_equals_a_circuit_that_was_built_without_the_synapse():
    whole = flagship_wiring(1)
    circuit = LTC(whole)
    features, elapsed = sequence(30)
    synapses = synapses_of(circuit)
    for place in (0, 252):
        lost = synapses[place]
        sensory, adjacency = whole.sensory.copy(), whole.adjacency.copy()
        target = whole.names.index(lost.target)
        if lost.source.startswith("sensory"):
            sensory[int(lost.source.split("_")[1]), target] = 0
        else:
            adjacency[whole.names.index(lost.source), target] = 0
        built = LTC(Wiring(32, whole.inter, whole.command, 1, sensory, adjacency))
        weights = circuit.state_dict()
        count = len(circuit.sensory.raw_weight)
        part, row = ("sensory", place) if place < count else ("recurrent", place - count)
        for name in ("raw_weight", "midpoint", "slope", "reversal"):
            value = weights[f"{part}.{name}"]
            weights[f"{part}.{name}"] = torch.cat((value[:row], value[row + 1 :]))
        built.load_state_dict(weights)
        expected = alone(built, features, elapsed)
        found = cut_outputs(circuit, features, elapsed, [(place,)])[0]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(alone(cut(circuit, [place]), features, elapsed), expected)


def test_stacked_circuits_give_what_each_gives_alone(circuit):
    # More samples than a piece of the stacked computation has: states are carried from one on.
    features, elapsed = sequence(140)
    cuts = [(), (0,), (250,), (3, 200, 251)]
    outputs = cut_outputs(circuit, features, elapsed, cuts)
    assert outputs.shape == (4, 140, circuit.outputs)
    torch.testing.assert_close(outputs[0], alone(circuit, features, elapsed))
    for places, found in zip(cuts[1:], outputs[1:], strict=True):
        expected = alone(cut(circuit, places), features, elapsed)
        torch.testing.assert_close(found, expected)
        assert not torch.allclose(found, outputs[0], atol=1e-7) or 0 in places


def test_explicit_solvers_are_cut_one_by_one_with_the_same_result():
    circuit = LTC(flagship_wiring(1), solver="rk4")
    features, elapsed = sequence(4)
    outputs = cut_outputs(circuit, features, elapsed, [(), (252,)])
    torch.testing.assert_close(outputs[0], alone(circuit, features, elapsed))
    torch.testing.assert_close(outputs[1], alone(cut(circuit, [252]), features, elapsed))


def test_a_drive_in_two_halves_is_the_drive(circuit):
    features, elapsed = sequence(12)
    whole = cut_outputs(circuit, features, elapsed, [(), (240,)])
    with torch.no_grad():
        _, state = circuit(features[None, :5], None, elapsed[None, :5])
    state = state[0] if isinstance(state, torch.Tensor) else tuple(part[0] for part in state)
    rest = cut_outputs(circuit, features[5:], elapsed[5:], [()], state)
    torch.testing.assert_close(rest[0], whole[0, 5:])


def test_a_cut_leaves_the_circuit_alone(circuit):
    before = {name: value.clone() for name, value in circuit.state_dict().items()}
    cut_outputs(circuit, *sequence(3), [(1,)])
    cut(circuit, [1])
    assert all(torch.equal(before[name], value) for name, value in circuit.state_dict().items())


def test_synapses_come_in_the_order_of_the_parameters_with_trained_polarity():
    circuit = LTC(flagship_wiring(1))
    with torch.no_grad():
        circuit.recurrent.reversal[0] = -0.3
        circuit.recurrent.reversal[1] = 0.3
    synapses = synapses_of(circuit)
    assert len(synapses) == 253
    first = len(circuit.sensory.raw_weight)
    assert [synapses[first].polarity, synapses[first + 1].polarity] == [-1, 1]
    names = circuit.wiring.names
    for place, (source, target) in enumerate(circuit.recurrent.pairs.T):
        each = synapses[first + place]
        assert (each.source, each.target) == (names[source], names[target])


def test_a_network_without_a_wiring_has_no_synapses_to_cut():
    assert synapses_of(GRU(32, 8, 1)) == []
    with pytest.raises(InputError, match="LTC or a CfC on a wiring, got a GRU"):
        cut_outputs(GRU(32, 8, 1), *sequence(2), [(0,)])
    assert np.isfinite(alone(GRU(32, 8, 1), *sequence(2)).numpy()).all()
