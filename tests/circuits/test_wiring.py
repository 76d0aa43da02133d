"""A wiring has exactly the synapses it promises, reaches every neuron and survives its JSON."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_control.circuits.wiring import Wiring, flagship_wiring, ncp
from liquid_control.errors import InputError


@pytest.mark.parametrize("outputs", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(20))
def test_every_flagship_has_19_neurons_and_253_synapses(outputs, seed):
    wiring = flagship_wiring(outputs, seed=seed)
    assert wiring.units == 19
    assert wiring.synapses == 253
    assert wiring.motor == outputs
    assert wiring.command == 6


def test_the_layers_of_the_paper_s_wiring_have_the_published_counts():
    wiring = ncp()
    inter, command, motor = slice(0, 12), slice(12, 18), slice(18, 19)
    sensory, adjacency = wiring.sensory != 0, wiring.adjacency != 0
    assert (sensory[:, inter].sum(1) == 6).all()
    assert not sensory[:, 12:].any()
    assert (adjacency[inter, command].sum(1) == 4).all()
    assert adjacency[command, command].sum() == 7
    assert (adjacency[command, motor].sum(0) == 6).all()
    assert adjacency.sum() == 12 * 4 + 7 + 6


@st.composite
def wirings(draw):
    inputs, inter = draw(st.integers(1, 40)), draw(st.integers(1, 20))
    command, motor = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    arguments = {
        "inputs": inputs,
        "inter": inter,
        "command": command,
        "motor": motor,
        "sensory_fanout": draw(st.integers(min(-(-inter // inputs), inter), inter)),
        "inter_fanout": draw(st.integers(min(-(-command // inter), command), command)),
        "recurrent": draw(st.integers(0, command * command)),
        "motor_fanin": draw(st.integers(0, command)),
    }
    return arguments, draw(st.integers(0, 1000))


@given(wirings())
def test_any_ncp_has_the_asked_number_of_synapses_and_reaches_every_neuron(drawn):
    arguments, seed = drawn
    wiring = ncp(**arguments, seed=seed)
    assert wiring.synapses == (
        arguments["inputs"] * arguments["sensory_fanout"]
        + arguments["inter"] * arguments["inter_fanout"]
        + arguments["recurrent"]
        + arguments["motor"] * arguments["motor_fanin"]
    )
    inter, command = wiring.inter, wiring.command
    assert (wiring.sensory[:, :inter] != 0).any(0).all()
    assert (wiring.adjacency[:inter, inter : inter + command] != 0).any(0).all()
    if wiring.motor * arguments["motor_fanin"] >= command:
        assert (wiring.adjacency[inter : inter + command, inter + command :] != 0).any(1).all()
    assert Wiring.from_dict(json.loads(json.dumps(wiring.to_dict()))) == wiring


@pytest.mark.parametrize("outputs", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(10))
def test_each_motor_neuron_can_be_pushed_both_ways(outputs, seed):
    wiring = flagship_wiring(outputs, seed=seed)
    for polarity in wiring.adjacency[:, -outputs:].T:
        assert abs((polarity > 0).sum() - (polarity < 0).sum()) <= 1


def test_one_seed_draws_one_wiring_and_another_seed_another():
    assert ncp(seed=3) == ncp(seed=3)
    assert ncp(seed=3) != ncp(seed=4)


def test_names_follow_the_order_of_the_state():
    names = flagship_wiring(2).names
    assert names[:2] == ("inter_0", "inter_1")
    assert names[11] == "command_0"
    assert names[-2:] == ("motor_0", "motor_1")
    assert len(names) == 19


def test_a_wiring_cannot_be_changed_after_it_was_drawn():
    wiring = ncp()
    with pytest.raises(ValueError, match="read-only"):
        wiring.adjacency[0, 0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        wiring.inputs = 3


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"sensory_fanout": 13}, "sensory_fanout"),
        ({"inter_fanout": 7}, "inter_fanout"),
        ({"motor_fanin": 7}, "motor_fanin"),
        ({"recurrent": 37}, "recurrent"),
        ({"inputs": 1}, "raise the fan-outs"),
        ({"sensory_fanout": -1}, "sensory_fanout must lie in 0 to 12"),
        ({"sensory_fanout": 2.5}, "sensory_fanout must be a whole number, got 2.5"),
        ({"command": 0}, "one or more inputs, inter, command and motor neurons"),
        ({"inputs": -3}, "one or more inputs, inter, command and motor neurons, got -3"),
    ],
)
def test_counts_that_cannot_be_met_are_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        ncp(**arguments)


def test_five_outputs_have_no_flagship():
    with pytest.raises(ValueError, match="1 to 4 outputs, got 5"):
        flagship_wiring(5)


def test_entries_that_are_no_polarity_are_refused():
    wiring = ncp()
    with pytest.raises(ValueError, match="adjacency"):
        dataclasses.replace(wiring, adjacency=np.full((19, 19), 2))
    with pytest.raises(ValueError, match=r"inter must be a whole number, got 12\.0"):
        dataclasses.replace(wiring, inter=12.0)


def _spoil(fields, change):
    change(fields)
    return fields


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.pop("motor"),
        lambda fields: fields["sensory"].append([99, 0, 1]),
        lambda fields: fields["sensory"].append([-1, 0, 1]),
        lambda fields: fields["adjacency"].append(fields["adjacency"][0]),
        lambda fields: fields["adjacency"].append([0, 0, 3]),
        lambda fields: fields.update(sensory=5),
    ],
)
def test_a_spoilt_wiring_file_is_refused_with_a_sentence(change):
    with pytest.raises(InputError, match="A wiring needs inputs"):
        Wiring.from_dict(_spoil(ncp().to_dict(), change))
