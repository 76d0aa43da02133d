"""A step without gradients is one compiled call; it sees every change of the weights."""

import copy
import pickle
import threading

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils import parametrize

from liquid_control.circuits import LTC, AutoNCP, CfC, load, save
from liquid_control.circuits.fused_sequence import compiled, torch_operations

pytestmark = pytest.mark.skipif(compiled("fused_lanes") is None, reason="needs numba")

WIRING = AutoNCP(10, 2).build(4)
KINDS = {
    "LTC": lambda: LTC(4, WIRING),
    "LTC without maps": lambda: LTC(4, WIRING, input_mapping=None, output_mapping=None),
    "CfC": lambda: CfC(4, WIRING),
    "CfC no gate": lambda: CfC(4, WIRING, mode="no_gate", proj_size=3),
}
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(params=KINDS, ids=lambda name: name.replace(" ", "-"))
def make(request):
    return KINDS[request.param]


@pytest.fixture
def network(make):
    return make()


def by_operations(network, *arguments):
    with torch.no_grad(), torch_operations():
        return network.step(*arguments)


def assert_as_by_operations(network, *arguments):
    with torch.no_grad():
        assert network._step_compiled(*arguments) is not None
        torch.testing.assert_close(
            network.step(*arguments), by_operations(network, *arguments), **CLOSE
        )


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_gives_the_numbers_of_torch_operations_for_every_kind_of_argument(network, mode):
    for rows in ((), (1,), (3,), (40,)):
        inputs, state = torch.randn(*rows, 4), torch.randn(*rows, 10)
        for given in (None, state):
            for elapsed in (None, 0.1, 0, torch.tensor(0.2), torch.rand(rows)):
                with mode():
                    output, after = network.step(inputs, given, elapsed)
                expected = by_operations(network, inputs, given, elapsed)
                torch.testing.assert_close((output, after), expected, **CLOSE)
                assert output.is_inference() == (mode is torch.inference_mode)
    assert_as_by_operations(network, torch.randn(4, 3).T, torch.randn(10, 3).T, torch.rand(6)[::2])


def test_steps_equal_the_sequence_over_a_long_time(network):
    inputs, elapsed = torch.randn(2, 200, 4), torch.rand(2, 200) * 0.1
    elapsed[0, 5:9] = 0
    with torch.no_grad():
        outputs, last = network(inputs, None, elapsed)
        state = None
        for time in range(200):
            output, state = network.step(inputs[:, time], state, elapsed[:, time])
            torch.testing.assert_close(output, outputs[:, time], **CLOSE)
    torch.testing.assert_close(state, last, **CLOSE)


def test_no_elapsed_time_leaves_the_state_to_the_bit(network):
    state = torch.randn(3, 10)
    with torch.no_grad():
        _, after = network.step(torch.randn(3, 4), state, torch.tensor([0.0, 0.1, 0.0]))
    assert torch.equal(after[::2], state[::2])
    assert not torch.equal(after[1], state[1])


def test_what_was_returned_and_given_stays_as_it_was(network):
    inputs, start = torch.randn(1, 4), torch.randn(1, 10)
    kept = inputs.clone(), start.clone()
    with torch.no_grad():
        output, state = network.step(inputs, start, 0.1)
        before = output.clone(), state.clone()
        network.step(inputs + 1, state, 0.1)
    assert torch.equal(output, before[0])
    assert torch.equal(state, before[1])
    assert torch.equal(inputs, kept[0])
    assert torch.equal(start, kept[1])


def shift(parameter):
    with torch.no_grad():
        parameter.add_(0.5)


def shift_data(parameter):
    parameter.data.add_(0.5)


def shift_by_numpy(parameter):
    array = parameter.detach().numpy()
    array += 0.5


def replace_data(parameter):
    parameter.data = parameter.data + 0.5


@pytest.mark.parametrize("change", [shift, shift_data, shift_by_numpy, replace_data])
def test_every_change_of_every_parameter_is_seen_at_once(network, change):
    inputs, state = torch.randn(1, 4), torch.randn(1, 10)
    for name, parameter in network.named_parameters():
        with torch.no_grad():
            before = network.step(inputs, state, 0.3)
        change(parameter)
        assert_as_by_operations(network, inputs, state, 0.3)
        with torch.no_grad():
            after = network.step(inputs, state, 0.3)
        moved = [not torch.equal(old, new) for old, new in zip(before, after, strict=True)]
        assert any(moved), name


def test_a_step_of_an_optimiser_is_seen(network):
    inputs = torch.randn(20, 4)
    for fused in (False, True):
        optimiser = torch.optim.Adam(network.parameters(), 0.05, fused=fused)
        assert_as_by_operations(network, inputs[0], None, 0.1)
        network(inputs)[0].square().sum().backward()
        optimiser.step()
        assert_as_by_operations(network, inputs[0], None, 0.1)


@pytest.mark.parametrize("assign", [False, True])
def test_loaded_weights_are_seen(make, assign, tmp_path):
    network, other = make(), make()
    inputs = torch.randn(1, 4)
    with torch.no_grad():
        network.step(inputs, None, 0.1)
        network.load_state_dict(other.state_dict(), assign=assign)
        expected = other.step(inputs, None, 0.1)
        assert torch.equal(network.step(inputs, None, 0.1)[0], expected[0])
        save(network, tmp_path / "circuit")
        assert torch.equal(load(tmp_path / "circuit").step(inputs, None, 0.1)[0], expected[0])


def test_weights_handed_in_by_a_functional_call_are_those_that_count(make):
    network, other = make(), make()
    inputs = torch.randn(1, 4)

    class Stepping(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, *arguments):
            return self.network.step(*arguments)

    stepping = Stepping()
    given = {f"network.{name}": each for name, each in other.named_parameters()}
    with torch.no_grad():
        own, expected = network.step(inputs, None, 0.1), other.step(inputs, None, 0.1)
        assert not torch.equal(own[0], expected[0])
        for _ in range(2):
            called = functional_call(stepping, given, (inputs, None, 0.1))
            assert torch.equal(called[0], expected[0])
            assert torch.equal(network.step(inputs, None, 0.1)[0], own[0])

    networks = [copy.deepcopy(stepping), stepping]
    networks[0].network.load_state_dict(other.state_dict())
    parameters, buffers = stack_module_state(networks)
    with torch.no_grad():
        output, _ = vmap(
            lambda *state: functional_call(stepping, state, (inputs, None, 0.1)), (0, 0)
        )(parameters, buffers)
    torch.testing.assert_close(output, torch.stack([expected[0], own[0]]), **CLOSE)


def test_copies_are_independent(network):
    inputs = torch.randn(1, 4)
    with torch.no_grad():
        expected = network.step(inputs, None, 0.1)
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        with torch.no_grad():
            assert torch.equal(other.step(inputs, None, 0.1)[0], expected[0])
            for parameter in other.parameters():
                parameter.add_(0.5)
        assert_as_by_operations(other, inputs, None, 0.1)
        with torch.no_grad():
            assert torch.equal(network.step(inputs, None, 0.1)[0], expected[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_another_precision_is_seen_on_the_way_there_and_back(network, dtype):
    inputs = torch.randn(1, 4)
    with torch.no_grad():
        network.step(inputs, None, 0.1)
        output, state = network.to(dtype).step(inputs, None, 0.1)
        assert output.dtype == state.dtype == dtype
    network.float()
    assert_as_by_operations(network, inputs, None, 0.1)


def test_a_replaced_part_is_seen(make):
    network, other = make(), make()
    part = "recurrent" if isinstance(network, LTC) else "cell"
    with torch.no_grad():
        network.step(torch.randn(4))
    setattr(network, part, getattr(other, part))
    assert_as_by_operations(network, torch.randn(1, 4), None, 0.1)


class Half(torch.nn.Module):
    def forward(self, value):
        return value / 2


def test_a_computed_parameter_is_computed_by_torch(network):
    inputs = torch.randn(1, 4)
    with torch.no_grad():
        before, _ = network.step(inputs, None, 0.1)
        owner = network.recurrent if isinstance(network, LTC) else network.cell
        parametrize.register_parametrization(owner, "raw_weight", Half())
        assert network._step_compiled(inputs, None, 0.1) is None
        output, _ = network.step(inputs, None, 0.1)
        assert not torch.equal(output, before)
        parametrize.remove_parametrizations(owner, "raw_weight")
    torch.testing.assert_close(network.step(inputs, None, 0.1)[0], output, **CLOSE)
    assert_as_by_operations(network, inputs, None, 0.1)


def test_with_gradients_a_step_keeps_its_graph(network):
    with torch.no_grad():
        network.step(torch.randn(4))
    inputs = torch.randn(1, 4, requires_grad=True)
    network.step(inputs, None, 0.1)[0].sum().backward()
    assert inputs.grad.abs().sum() > 0
    with torch.no_grad():
        assert not network.step(inputs, None, 0.1)[0].requires_grad


def test_in_autocast_and_with_another_default_precision_it_returns_that_of_the_parameters(network):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert {each.dtype for each in network.step(torch.randn(4))} == {torch.float32}
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            assert {each.dtype for each in network.step(torch.randn(4))} == {torch.float32}
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_weight_that_is_no_number_shows_and_is_gone_when_it_is(network):
    inputs = torch.randn(1, 4)
    name, parameter = next(iter(network.named_parameters()))
    good = parameter.detach().clone()
    with torch.no_grad():
        expected, _ = network.step(inputs, None, 0.1)
        parameter.fill_(float("nan"))
        assert network.step(inputs, None, 0.1)[1].isnan().any(), name
        parameter.copy_(good)
        assert torch.equal(network.step(inputs, None, 0.1)[0], expected)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((torch.zeros(1, 5),), r"\(batch, 4\) or \(4,\), got \(1, 5\)"),
        ((torch.zeros(0, 4),), r"got \(0, 4\)"),
        ((torch.zeros(1, 4), torch.zeros(1, 9)), r"\(1, 10\), got \(1, 9\)"),
        ((torch.zeros(1, 4), torch.zeros(10)), r"\(1, 10\), got \(10,\)"),
        ((torch.zeros(1, 4), None, -1.0), "finite and 0 s or more, got -1"),
        ((torch.zeros(1, 4), None, float("nan")), "finite and 0 s or more, got nan"),
        ((torch.zeros(2, 4), None, torch.tensor([0.1, -1])), "finite and 0 s or more, got -1"),
        ((torch.zeros(2, 4), None, torch.tensor([0.1, torch.inf])), "finite and 0 s or more"),
        ((torch.zeros(2, 4), None, torch.ones(3)), r"shapes \(\(\), \(2,\)\), got \(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused_as_with_gradients(network, arguments, says):
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with mode(), pytest.raises(ValueError, match=says):
            network.step(*arguments)


def test_many_threads_may_step_one_network(network):
    inputs = torch.randn(8, 50, 4)
    with torch.no_grad():
        expected, _ = network(inputs, None, 0.1)
    results = [None] * 8

    def run(row):
        with torch.no_grad():
            state, outputs = None, []
            for time in range(50):
                output, state = network.step(inputs[row, time], state, 0.1)
                outputs.append(output)
        results[row] = torch.stack(outputs)

    threads = [threading.Thread(target=run, args=(row,)) for row in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.testing.assert_close(torch.stack(results), expected, **CLOSE)


def test_forward_differentiation_goes_through_steps_and_sequences(network):
    inputs, direction = torch.randn(4, 5, 4), torch.randn(4, 5, 4)
    with torch.no_grad():
        network.step(inputs[:, 0])
    for call, given in ((network, slice(None)), (network.step, (slice(None), 0))):
        with torch.no_grad(), forward_ad.dual_level():
            outputs, _ = call(forward_ad.make_dual(inputs[given], direction[given]))
            tangent = forward_ad.unpack_dual(outputs).tangent
        small = 1e-3
        with torch.no_grad():
            ahead, _ = call(inputs[given] + small * direction[given])
            behind, _ = call(inputs[given] - small * direction[given])
        torch.testing.assert_close(tangent, (ahead - behind) / (2 * small), rtol=0.02, atol=2e-3)


def test_a_dispatch_mode_sees_operations(network):
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network.step(torch.randn(1, 4))
    assert counted.get_total_flops() > 0


def test_mixed_memory_dense_and_explicit_networks_step_by_operations():
    with torch.no_grad():
        for other in (
            LTC(4, WIRING, mixed_memory=True),
            LTC(4, WIRING, solver="rk4"),
            CfC(4, WIRING, mode="pure"),
        ):
            assert other._step_compiled(torch.zeros(1, 4), None, 0.1) is None
            other.step(torch.zeros(1, 4), None, 0.1)
