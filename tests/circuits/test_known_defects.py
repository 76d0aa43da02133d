"""Ten defects of the reference library (ncps 1.0.1), each with the test that keeps it out here."""

import json
import time

import ncps.torch
import ncps.wirings
import numpy as np
import pytest
import torch
from torch.func import functional_call

from liquid_control.circuits import LTC, NCP, AutoNCP, CfC, Wiring, ncp

KINDS = {
    "LTC": lambda: LTC(4, AutoNCP(10, 2)),
    "CfC dense": lambda: CfC(4, 10),
    "CfC wired": lambda: CfC(4, AutoNCP(10, 2)),
}


@pytest.fixture(params=KINDS, ids=lambda name: name.replace(" ", "-"))
def make(request):
    return KINDS[request.param]


@pytest.mark.parametrize("batch", [3, 10])
def test_1_elapsed_times_are_taken_per_row_also_for_as_many_rows_as_neurons(make, batch):
    network = make()
    inputs, elapsed = torch.randn(batch, 5, 4), torch.rand(batch, 5)
    together, _ = network(inputs, timespans=elapsed)
    alone = [network(inputs[row], timespans=elapsed[row])[0] for row in range(batch)]
    torch.testing.assert_close(together, torch.stack(alone))


def test_2_no_elapsed_time_gives_the_state_before_and_no_nan(make):
    network = make()
    inputs, state = torch.randn(2, 1, 4), torch.randn(2, 10)
    output, after = network(inputs, state, 0.0)
    assert torch.equal(after, state)
    assert output.isfinite().all()


def test_3_a_wiring_shared_or_built_twice_gains_no_synapse():
    recipe = NCP(12, 6, 1, 6, 4, 7, 6)
    wiring = recipe.build(32)
    for share in (recipe, wiring):
        networks = [LTC(32, share), CfC(32, share), LTC(32, share)]
        assert [network.wiring.synapses for network in networks] == [253, 253, 253]
    assert recipe.build(32) == wiring


def test_4_a_wiring_survives_its_configuration_and_reading_it_draws_nothing():
    recipe, before = AutoNCP(20, 3, seed=5), np.random.default_rng(0).random()
    state = np.random.get_state()[1].copy()  # noqa: NPY002, the generator that ncps reseeds
    again = AutoNCP.from_config(json.loads(json.dumps(recipe.get_config())))
    wiring = recipe.build(7)
    restored = Wiring.from_dict(json.loads(json.dumps(wiring.to_dict())))
    assert again.build(7) == wiring == restored
    assert recipe.get_config() == again.get_config()
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert np.random.default_rng(0).random() == before


def test_5_functional_calls_and_assigned_weights_take_effect(make):
    network, other = make(), make()
    inputs = torch.randn(2, 3, 4)
    expected, _ = other(inputs)
    assert not torch.equal(network(inputs)[0], expected)
    called, _ = functional_call(network, dict(other.named_parameters()), (inputs,))
    assert torch.equal(called, expected)
    network.load_state_dict(other.state_dict(), assign=True)
    assert torch.equal(network(inputs)[0], expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_6_half_precision_works_and_returns_half_precision(make, dtype):
    network = make().to(dtype)
    output, state = network(torch.randn(2, 3, 4, dtype=dtype), None, 0.5)
    assert output.dtype == state.dtype == dtype
    assert output.isfinite().all()
    output.sum().backward()
    assert all(parameter.grad.dtype == dtype for parameter in network.parameters())


def test_7_a_wired_cfc_follows_its_wiring_in_values_gates_and_polarity():
    wiring = ncp(5, 6, 4, 2, 3, 2, 5, 3, seed=2)
    network = CfC(wiring)
    linked = np.concatenate((wiring.sensory, wiring.adjacency + 2 * np.eye(wiring.units))) != 0
    signs = torch.from_numpy(np.concatenate((wiring.sensory, wiring.adjacency)).copy())
    own = torch.eye(wiring.units, dtype=torch.bool)
    for layer in network.prepare():
        weights = torch.cat((layer.sensory, layer.recurrent)).unflatten(1, (4, -1))
        here = torch.from_numpy(linked[:, layer.neurons].copy())
        for head in range(4):  # f1 and f2, and the gates a and b
            assert ((weights[:, head] != 0) == here).all()
        synapse = signs[:, layer.neurons] != 0
        synapse[wiring.inputs :] &= ~own[:, layer.neurons]
        for head in range(2):
            given = torch.sign(weights[:, head])[synapse]
            assert torch.equal(given, signs[:, layer.neurons][synapse].float())


@pytest.mark.parametrize("network", [LTC, CfC])
def test_8_absent_synapses_have_no_parameters(network):
    wiring = ncp()
    count = sum(parameter.numel() for parameter in network(wiring).parameters())
    each, per_neuron, maps = {LTC: (4, 3, 2 * 32 + 2 * 1), CfC: (4, 8, 0)}[network]
    assert count == each * 253 + per_neuron * 19 + maps
    dense = sum(parameter.numel() for parameter in network(32, AutoNCP(60, 1, 0.0)).parameters())
    sparse = sum(parameter.numel() for parameter in network(32, AutoNCP(60, 1, 0.9)).parameters())
    assert sparse < 0.25 * dense


def test_9_one_export_serves_any_length(make):
    """Scripting, which torch gave up for export, is not offered."""
    network = make().eval()
    state = torch.zeros(1, 10)
    with torch.no_grad():
        program = torch.export.export(
            network,
            (torch.randn(1, 4, 4), state, torch.rand(1, 4)),
            dynamic_shapes=({1: torch.export.Dim("time")}, None, {1: torch.export.Dim("time")}),
        )
        for samples in (1, 7, 30):
            inputs, elapsed = torch.randn(1, samples, 4), torch.rand(1, samples)
            expected, _ = network(inputs, state, elapsed)
            output, _ = program.module()(inputs, state, elapsed)
            torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)


def test_10_a_training_step_takes_less_than_half_the_time():
    """A guard with a wide margin for busy machines; benchmarks/circuits.py measures properly."""
    ours = LTC(32, NCP(12, 6, 1, 6, 4, 7, 6))
    theirs = ncps.torch.LTC(32, ncps.wirings.NCP(12, 6, 1, 6, 4, 7, 6))
    inputs = torch.randn(32, 16, 32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    best = {}
    for _ in range(6):
        for network in (ours, theirs):
            start = time.process_time()
            network(inputs)[0].sum().backward()
            spent = time.process_time() - start
            best[network] = min(best.get(network, spent), spent)
    torch.set_num_threads(threads)
    assert best[ours] < 0.5 * best[theirs]
