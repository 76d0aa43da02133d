"""Components, couplings, currents and sums come out as arithmetic says."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from liquid_control.analysis.ablation import synapses_of
from liquid_control.analysis.neurons_activity import Activity, watch, why_no_time_constants
from liquid_control.analysis.neurons_currents import command_parts, synapse_currents
from liquid_control.analysis.neurons_measures import components, coupling, hidden, influence
from liquid_control.analysis.wiring_figure import wiring_layout, wiring_svg
from liquid_control.circuits.synapses import currents, sense
from liquid_control.command import CURVATURE, VX, YAW_RATE, CommandSpec
from liquid_control.data.bag import BagReader, BagWriter
from liquid_control.errors import InputError
from liquid_control.policy import Policy
from liquid_control.training.networks import CIRCUITS, make_policy

SPEC = CommandSpec((CURVATURE,))


def activity(policy: Policy, frames: int = 600, **changed) -> Activity:
    """A drive of made-up features; its states are those of the policy's circuit."""
    rng = np.random.default_rng(0)
    features = rng.random((frames, policy.circuit.inputs)).astype(np.float32)
    elapsed = np.full(frames, 1 / 30, np.float32)
    sizes = policy.circuit.state_sizes
    states, commands = np.zeros((frames, sum(sizes)), np.float32), []
    state = None
    with torch.no_grad():
        for row in range(frames):
            sample = torch.from_numpy(features[row : row + 1])
            output, state = policy.circuit.step(sample, state, 1 / 30 / policy.tick)
            parts = () if state is None else state if isinstance(state, tuple) else (state,)
            states[row] = torch.cat([*parts, output[:, :0]], 1).numpy()
            commands.append((output * policy.scale).numpy()[0])
    before = np.concatenate((0 * states[:1], states[:-1]))
    fresh = np.arange(frames) == 0
    given = {
        "bag": Path("made_up"),
        "origin": 0,
        "stamps": (np.arange(frames) * 1e9 / 30).astype(np.int64),
        "elapsed": elapsed,
        "fresh": fresh,
        "features": features,
        "before": before,
        "states": states,
        "constants": None,
        "commands": policy.spec.clip(np.stack(commands)),
        "labels": np.full((frames, len(policy.spec)), np.nan, np.float32),
        "label_topic": "",
        "pictures": [],
        "frames": {},
    }
    return Activity(**(given | changed))


def test_components_of_known_variances_are_found():
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((20_000, 3)) * np.sqrt([8.0, 1.0, 1.0])
    turned = rows @ np.linalg.qr(rng.standard_normal((3, 3)))[0] + 5
    found = components([turned[:7000], turned[7000:]])
    np.testing.assert_allclose(found.shares, [0.8, 0.1, 0.1], atol=0.01)
    assert found.needed == 3
    assert found.dimension == pytest.approx(1 / 0.66, rel=0.03)
    places = found.project(turned)
    np.testing.assert_allclose(np.var(places, 0), [8, 1, 1], rtol=0.05)


def test_states_on_a_line_have_one_component_and_constant_ones_none():
    line = np.outer(np.linspace(-1, 1, 50), [1.0, -2.0, 0.0, 3.0])
    found = components([line])
    np.testing.assert_allclose(found.shares, [1, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(found.scaled_shares[0], 1)
    assert found.needed == 1
    still = components([np.ones((9, 4))])
    assert not still.shares.any()
    assert still.dimension == 0


def test_time_constants_that_follow_the_command_are_coupled_to_it():
    policy = make_policy("ncp-ltc", SPEC).eval()
    frames = 480
    command = 0.05 * np.sin(np.arange(frames) / 20)[:, None].astype(np.float32)
    noise = np.random.default_rng(2).standard_normal((frames, 19)) * 0.01
    logs = noise.copy()
    logs[:, 0] += 20 * command[:, 0]  # slow in left turns
    logs[:, 1] -= 20 * np.abs(command[:, 0])  # fast in all turns
    constants = (0.1 * np.exp(logs)).astype(np.float32)
    made = activity(policy, frames, constants=constants, commands=command)
    found = coupling([made], policy)
    assert found.side[0, 0] > 0.99
    assert found.side[0, 1] <= found.side[0, 0] <= found.side[0, 2]
    assert found.size[1, 0] < -0.99
    assert abs(found.side[5, 0]) < 0.2
    assert found.left[0] > 1.5 * found.straight[0] > 2 * found.right[0]
    assert found.left[1] == pytest.approx(found.right[1], rel=0.05)
    assert found.left[1] < 0.6 * found.straight[1]
    assert 0 < found.limits[0] < found.limits[1] < 0.05


@pytest.mark.parametrize("name", CIRCUITS)
def test_a_command_is_the_sum_of_its_parts(name):
    policy = make_policy(name, CommandSpec((VX, YAW_RATE))).eval()
    made = activity(policy, 12)
    start = 5
    parts = command_parts(policy, made.features[start:], made.elapsed[start:], made.before[start])
    total = sum(part.values for part in parts)
    with torch.no_grad():
        asked, _ = policy.forward_features(torch.from_numpy(made.features)[None], None, 1 / 30)
    np.testing.assert_allclose(total, asked[0, -1].numpy(), rtol=1e-4, atol=1e-6)


def test_what_is_left_of_a_state_fades_and_synapses_take_its_place(policy):
    made = activity(policy, 60)
    for frames, limit in ((1, 1.0), (30, 0.05)):
        parts = command_parts(
            policy, made.features[-frames:], made.elapsed[-frames:], made.before[-frames]
        )
        left = {part.name: part.values for part in parts}["state_before"]
        assert abs(left[0]) <= limit * CURVATURE.high


@pytest.mark.parametrize(("frames", "width"), [(140, False), (170, True)])
def test_a_single_block_of_time_has_no_interval(policy, frames, width):
    command = np.sin(np.arange(frames))
    constants = 0.1 * np.exp(0.5 * np.abs(command))[:, None] * np.ones(19)
    made = activity(policy, frames, constants=constants.astype(np.float32))
    made = replace(made, commands=command[:, None].astype(np.float32))
    found = coupling([made], policy).size
    assert np.isfinite(found[:, 0]).all()
    assert np.isfinite(found[:, 1:]).all() == width


def test_currents_are_those_of_the_equation(policy):
    circuit = policy.circuit
    features, states = torch.rand(7, 32), torch.rand(7, 19) - 0.5
    flow = synapse_currents(circuit, features, states)
    with torch.no_grad():
        prepared = circuit.prepare()
        pull, conductance = currents(prepared, states, sense(prepared, features))
        slope = (pull - conductance * states).numpy()  # C dx/dt
        leak = (circuit.leak_conductance * (circuit.leak_potential - states)).numpy()
    targets = [circuit.wiring.names.index(each.target) for each in synapses_of(circuit)]
    total = leak.copy()
    for place, target in enumerate(targets):
        total[:, target] += flow[:, place]
    np.testing.assert_allclose(total, slope, rtol=1e-4, atol=1e-5)


def test_currents_of_a_wired_cfc_have_the_sign_of_their_polarity():
    policy = make_policy("ncp-cfc", SPEC)
    flow = synapse_currents(policy.circuit, torch.ones(2, 32), torch.ones(2, 19))
    signs = [each.polarity for each in synapses_of(policy.circuit)]
    np.testing.assert_array_equal(np.sign(flow), np.tile(signs, (2, 1)))
    assert synapse_currents(make_policy("lstm", SPEC).circuit, torch.ones(1, 32), None) is None


def test_the_influence_over_drives_names_the_synapses_that_matter(chain):
    policy = Policy(SPEC, circuit=chain).eval()
    drives = [activity(policy, 60), activity(policy, 45)]
    found = influence(drives, policy)
    names = {found.synapses[place].text for place in found.order[:3]}
    wanted = {"sensory 0 to inter 0", "inter 0 to command 0", "command 0 to motor 0"}
    assert names == wanted
    assert found.frames == 105
    assert found.most <= 3
    size = found.size[found.order[0]]
    assert 0 < size[1] <= size[0] <= size[2] <= 2
    assert (found.largest[found.order[0]] >= np.abs(found.shift[found.order[0]])).all()


def test_a_state_is_fresh_after_a_gap_and_settles_later(policy, training_bag):
    made = watch(policy, training_bag(frames=20, gap_after=11))
    assert made.stretches() == [(0, 12), (12, 20)]
    assert made.settled(0.19).tolist() == [False] * 6 + [True] * 6 + [False] * 6 + [True] * 2
    assert not made.before[[0, 12]].any()
    np.testing.assert_array_equal(made.before[1:12], made.states[:11])
    assert made.elapsed[12] == pytest.approx(1 / 30, rel=1e-3)
    np.testing.assert_allclose(made.labels[:, 0], 0.03 * np.sin(np.arange(20) / 5), atol=1e-6)
    low = policy.circuit.capacitance / (policy.circuit.leak_conductance + 1e3)
    assert (made.constants > low.detach().numpy()).all()


def test_a_run_is_seen_as_its_node_saw_it(policy, run_bag):
    made = watch(policy, run_bag(policy) / "bag")
    assert len(made) == 36
    assert np.isnan(made.labels).all()  # what it said itself is no label
    assert made.fresh.sum() == 1


@pytest.mark.slow
def test_what_lies_long_before_is_passed_over_where_states_are_recorded(policy, run_bag):
    bag = run_bag(policy, 150) / "bag"
    whole, late = watch(policy, bag), watch(policy, bag, around=(4.0, 4.5, 4.6))
    assert len(late) < len(whole) - 20
    assert late.seconds[0] > 0.9
    assert late.seconds[-1] == pytest.approx(4.6, abs=0.04)
    rows = np.searchsorted(whole.stamps, late.stamps)
    np.testing.assert_allclose(late.states, whole.states[rows], atol=1e-5)
    np.testing.assert_allclose(late.before, whole.before[rows], atol=1e-5)
    # A time behind the end is told of by what is there.
    assert watch(policy, bag, around=(99.0, 100.0, 101.0)).seconds[-1] == pytest.approx(149 / 30)


def test_a_model_for_another_vehicle_is_refused(training_bag, run_bag, policy):
    drone = make_policy("ncp-ltc", CommandSpec((VX, YAW_RATE))).eval()
    with pytest.raises(InputError, match=r"outputs are vx, yaw_rate, the bag .* curvature, speed"):
        watch(drone, training_bag(frames=3))
    with pytest.raises(InputError, match=r"outputs are vx, yaw_rate, the decisions .* curvature"):
        watch(drone, run_bag(policy, 12) / "bag")


@pytest.mark.parametrize("name", [name for name in CIRCUITS if name != "ncp-ltc"])
def test_what_a_network_does_not_have_is_said(name):
    policy = make_policy(name, SPEC)
    assert why_no_time_constants(policy)
    units = {"cnn": 100}.get(name, 19 if "ncp" in name else 64)
    assert hidden(activity(policy, 3), policy).shape == (3, units)


def test_a_layout_is_json_in_the_order_of_the_synapses(policy):
    layout = json.loads(json.dumps(wiring_layout(policy.circuit)))
    neurons, synapses = layout["neurons"], layout["synapses"]
    assert [each["state"] for each in neurons] == [None] * 32 + list(range(19))
    assert len(synapses) == 253
    for drawn, each in zip(synapses, synapses_of(policy.circuit), strict=True):
        ends = neurons[drawn["source"]]["name"], neurons[drawn["target"]]["name"]
        assert (*ends, drawn["polarity"]) == (each.source, each.target, each.polarity)
    columns = {
        layer: {n["x"] for n in neurons if n["layer"] == layer}
        for layer in ("sensory", "inter", "command", "motor")
    }
    places = [columns[layer].pop() for layer in columns]
    assert places == sorted(places)
    assert len({(each["x"], each["y"]) for each in neurons}) == len(neurons)
    width, height = layout["view"]
    assert all(0 < each["x"] < width and 0 < each["y"] < height for each in neurons)


def test_a_wiring_is_drawn_with_polarity_current_and_marks(policy):
    layout = wiring_layout(policy.circuit)
    flow = np.zeros(253)
    flow[7] = -1.0
    svg = wiring_svg(layout, np.linspace(-1, 1, 19), flow, marked=(7, 252))
    assert svg.count("<path") == 253
    assert svg.count('class="badge"') == 2
    kind = "up" if layout["synapses"][7]["polarity"] > 0 else "down"
    assert f'class="{kind} top" data-synapse="7"' in svg
    assert 'stroke-width="5.50"' in svg


def test_units_without_a_wiring_lie_in_a_grid():
    layout = wiring_layout(make_policy("lstm", SPEC).circuit)
    assert len(layout["neurons"]) == 64
    assert layout["synapses"] == []
    assert wiring_layout(make_policy("cnn", SPEC).circuit)["neurons"] == []


def test_a_bag_of_several_policies_is_refused(policy, run_bag):
    bag = run_bag(policy) / "bag"
    with BagWriter(bag.with_name("both"), "") as both:
        for topic, logged, message in BagReader(bag).messages():
            both.write(topic, message, logged)
            both.write(f"/car2{topic}", message, logged)
    with pytest.raises(InputError, match="holds the policies /car2/policy, /policy, expected one"):
        watch(policy, bag.with_name("both"))
