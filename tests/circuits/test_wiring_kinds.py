"""Every kind of wiring has exactly the synapses asked for, can be copied, shared and drawn."""

import copy
import json

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquid_control.circuits import (
    LTC,
    NCP,
    AutoNCP,
    FullyConnected,
    Random,
    Wiring,
    auto_ncp,
    from_adjacency,
    fully_connected,
    ncp,
    random_sparse,
)

RECIPES = [
    NCP(12, 6, 2, 6, 4, 7, 6),
    AutoNCP(28, 4),
    FullyConnected(10, 3, self_connections=False),
    Random(12, 2, 0.6),
]


@pytest.mark.parametrize("seed", range(3))
def test_a_fully_connected_wiring_has_every_synapse(seed):
    wiring = fully_connected(5, 8, 2, seed=seed)
    assert wiring.synapses == 5 * 8 + 8 * 8
    assert (wiring.inter, wiring.command, wiring.motor) == (6, 0, 2)
    without = fully_connected(5, 8, 2, self_connections=False, seed=seed)
    assert not np.diag(without.adjacency).any()
    assert without.synapses == 5 * 8 + 8 * 7


@given(
    inputs=st.integers(1, 20),
    units=st.integers(1, 20),
    sparsity=st.floats(0, 0.99),
    seed=st.integers(0, 1000),
)
def test_a_random_wiring_has_the_asked_share_of_synapses_exactly(inputs, units, sparsity, seed):
    wiring = random_sparse(inputs, units, None, sparsity, seed)
    assert np.count_nonzero(wiring.sensory) == round((1 - sparsity) * inputs * units)
    assert np.count_nonzero(wiring.adjacency) == round((1 - sparsity) * units * units)
    assert wiring == random_sparse(inputs, units, None, sparsity, seed)


def test_a_matrix_becomes_a_wiring_by_its_signs():
    sensory = np.array([[0.5, 0.0, -2.0]])
    adjacency = np.diag([1.0, 0.0, -3.0])
    wiring = from_adjacency(sensory, adjacency, outputs=1)
    assert wiring.sensory.tolist() == [[1, 0, -1]]
    assert wiring.adjacency.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, -1]]
    assert (wiring.inter, wiring.motor) == (2, 1)


@given(
    inputs=st.integers(1, 50),
    outputs=st.integers(1, 8),
    hidden=st.integers(3, 60),
    sparsity=st.floats(0, 0.9),
    seed=st.integers(0, 100),
)
def test_any_automatic_wiring_reaches_every_neuron(inputs, outputs, hidden, sparsity, seed):
    wiring = auto_ncp(inputs, outputs + hidden, outputs, sparsity, seed)
    assert wiring.units == outputs + hidden
    assert wiring.motor == outputs
    first = wiring.inter
    assert (wiring.sensory[:, :first] != 0).any(0).all()
    assert (wiring.adjacency[:first, first : first + wiring.command] != 0).any(0).all()
    assert (wiring.adjacency[:, -outputs:] != 0).any(0).all()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: type(recipe).__name__)
def test_a_recipe_draws_the_same_wiring_each_time_and_after_its_configuration_s_round_trip(recipe):
    first = recipe.build(9)
    again = type(recipe).from_config(json.loads(json.dumps(recipe.get_config())))
    assert again == recipe
    assert recipe.build(9) == first == again.build(9)
    assert hash(recipe.build(9)) == hash(first)
    assert Wiring.from_dict(json.loads(json.dumps(first.to_dict()))) == first


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: type(recipe).__name__)
def test_a_recipe_serves_networks_of_different_inputs_without_changing(recipe):
    first, second, third = LTC(9, recipe), LTC(9, recipe), LTC(20, recipe)
    assert first.wiring == second.wiring
    assert third.wiring.inputs == 20


def test_a_copy_of_a_wiring_is_equal_and_cannot_be_changed_either():
    wiring = ncp()
    for other in (copy.copy(wiring), copy.deepcopy(wiring)):
        assert other == wiring
        with pytest.raises(ValueError, match="read-only"):
            other.sensory[0, 0] = 1


def test_wirings_that_differ_in_their_layers_alone_are_different():
    flat = from_adjacency(ncp().sensory, ncp().adjacency, 1)
    assert flat.synapses == ncp().synapses
    assert flat != ncp()
    assert len({flat, ncp(), ncp()}) == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: fully_connected(3, 4, 5), "1 to 4, one a neuron, got 5"),
        (lambda: random_sparse(3, 4, 2, 1.0), "1 excluded, got 1.0"),
        (lambda: random_sparse(3, 4, 2, -0.1), "got -0.1"),
        (lambda: auto_ncp(3, 6, 4), "got 6 units and 4 outputs"),
        (lambda: auto_ncp(3, 20, 4, 0.95), "0 to 0.9, got 3 and 0.95"),
        (lambda: auto_ncp(0, 20, 4), "0 to 0.9, got 0 and 0.5"),
        (lambda: from_adjacency(np.ones((2, 3)), np.ones((2, 2)), 1), r"\(2, 3\) and \(2, 2\)"),
        (lambda: from_adjacency(np.full((2, 3), np.nan), np.ones((3, 3)), 1), "finite"),
        (lambda: NCP(12, 6, 2, 13, 4, 7, 6).build(5), "sensory_fanout must lie in 0 to 12"),
        (lambda: LTC(5, ncp()), "for 32 inputs, the network has 5"),
        (lambda: fully_connected(0, 4), "one or more inputs and units, got 0 and 4"),
        (lambda: random_sparse(-1, 4), "one or more inputs and units, got -1 and 4"),
        (lambda: LTC(4, 0), "one or more inputs and units, got 4 and 0"),
        (lambda: from_adjacency([["a"]], [[1]], 1), "must be numbers, got <U1"),
        (lambda: NCP(12, 6, 2, -1, 4, 7, 6).build(5), "sensory_fanout must lie in 0 to 12"),
        (lambda: NCP(12, 6, 2, 6, 0, 7, 6).build(5), "0 inter synapses cannot reach"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_numbers(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("arguments", [(20, None), ("a", 3), (20, "NCP"), (ncp(), 5)])
def test_what_is_no_wiring_is_refused(arguments):
    with pytest.raises(TypeError, match="needs a Wiring, or a number of inputs"):
        LTC(*arguments)


def test_a_graph_has_the_layers_and_polarities_of_the_wiring():
    wiring = ncp()
    network = wiring.graph()
    assert network.number_of_nodes() == 32 + 19
    assert network.number_of_edges() == 253
    assert network.nodes["command_3"]["layer"] == "command"
    for source, target, polarity in network.edges(data="polarity"):
        if source.startswith("sensory"):
            row = int(source.split("_")[1])
            assert wiring.sensory[row, wiring.names.index(target)] == polarity
    assert networkx.has_path(network, "sensory_0", "motor_0")


@pytest.mark.parametrize("wiring", [ncp(), fully_connected(2, 5, 2)], ids=["ncp", "full"])
def test_a_picture_tells_layers_and_polarities_apart(wiring, tmp_path):
    axes = wiring.draw(labels=True)
    axes.figure.savefig(tmp_path / "wiring.png")
    assert (tmp_path / "wiring.png").stat().st_size > 10_000
    texts = {text.get_text() for text in axes.texts}
    assert f"{wiring.inputs} sensory" in texts
    assert f"{wiring.inter} inter" in texts
    assert "motor_0" in texts
    styles = {(arrow.get_edgecolor(), arrow.get_linestyle()) for arrow in axes.patches}
    assert len(styles) == 2
    assert len(axes.patches) == wiring.synapses
