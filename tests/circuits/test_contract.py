"""All circuits are called in one way, and refuse the same things at the call."""

import pytest
import torch

from liquid_control.circuits import GRU, LSTM

INPUTS = 4  # of every circuit in conftest
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def random_state(network, *batch, dtype=torch.float32):
    state = tuple(0.5 * torch.randn(*batch, size, dtype=dtype) for size in network.state_sizes)
    return state if len(state) > 1 else state[0]


def row(state, index):
    """Row or rows of a state."""
    return tuple(part[index] for part in state) if isinstance(state, tuple) else state[index]


def test_a_sequence_equals_its_steps(network):
    inputs, elapsed = torch.randn(3, 5, INPUTS), torch.rand(3, 5)
    start = random_state(network, 3)
    outputs, last = network(inputs, start, elapsed)
    assert outputs.shape == (3, 5, network.outputs)
    for prepared in (None, network.prepare()):
        state = start
        for time in range(5):
            output, state = network.step(inputs[:, time], state, elapsed[:, time], prepared)
            torch.testing.assert_close(output, outputs[:, time], **CLOSE)
        torch.testing.assert_close(state, last, **CLOSE)


def test_a_sequence_may_be_cut_anywhere(network):
    inputs, elapsed = torch.randn(2, 6, INPUTS), torch.rand(2, 6)
    outputs, last = network(inputs, None, elapsed)
    first, state = network(inputs[:, :2], None, elapsed[:, :2])
    second, state = network(inputs[:, 2:], state, elapsed[:, 2:])
    torch.testing.assert_close(torch.cat((first, second), 1), outputs, **CLOSE)
    torch.testing.assert_close(state, last, **CLOSE)


@pytest.mark.parametrize("like_units", [False, True])
def test_every_row_has_its_own_elapsed_times(network, like_units):
    # A batch as large as the number of neurons must not be mistaken for them.
    batch = network.state_sizes[0] if like_units else 3
    inputs, elapsed = torch.randn(batch, 4, INPUTS), torch.rand(batch, 4)
    together, last = network(inputs, None, elapsed)
    for index in range(batch):
        alone, state = network(inputs[index : index + 1], None, elapsed[index : index + 1])
        torch.testing.assert_close(together[index], alone[0], **CLOSE)
        torch.testing.assert_close(row(last, index), row(state, 0), **CLOSE)


def test_without_a_batch_it_computes_the_same(network):
    inputs, elapsed = torch.randn(1, 5, INPUTS), torch.rand(5)
    start = random_state(network, 1)
    batched, state = network(inputs, start, elapsed)
    alone, own = network(inputs[0], row(start, 0), elapsed)
    assert torch.equal(alone, batched[0])
    for ours, theirs in zip(parts(own), parts(state), strict=True):
        assert torch.equal(ours, theirs[0])
    output, own = network.step(inputs[0, 0], row(start, 0), float(elapsed[0]))
    assert output.shape == (network.outputs,)
    torch.testing.assert_close(output, batched[0, 0], **CLOSE)
    assert [part.shape for part in parts(own)] == [(size,) for size in network.state_sizes]


def test_a_number_and_one_time_per_sample_mean_the_same_as_a_time_for_each(network):
    inputs = torch.randn(3, 4, INPUTS)
    each, _ = network(inputs, None, torch.full((3, 4), 0.3))
    for same in (0.3, torch.tensor(0.3), torch.full((4,), 0.3)):
        assert torch.equal(network(inputs, None, same)[0], each)
    default, _ = network(inputs)
    assert torch.equal(default, network(inputs, None, network.time_unit)[0])


def test_longer_and_shorter_elapsed_times_are_told_apart_except_by_lstm_and_gru(network):
    inputs = torch.randn(1, 4, INPUTS)
    same = torch.equal(network(inputs, None, 0.1)[0], network(inputs, None, 0.2)[0])
    assert same == isinstance(network, LSTM | GRU)


def test_time_may_come_before_batch(make):
    torch.manual_seed(1)
    network = make().eval()
    torch.manual_seed(1)
    turned = make(batch_first=False).eval()
    turned.load_state_dict(network.state_dict())
    inputs, elapsed = torch.randn(3, 5, INPUTS), torch.rand(3, 5)
    for times in (elapsed, elapsed[0], 0.3):
        outputs, state = network(inputs, None, times)
        swapped = times.T if torch.is_tensor(times) and times.dim() == 2 else times
        turned_outputs, turned_state = turned(inputs.transpose(0, 1), None, swapped)
        torch.testing.assert_close(turned_outputs.transpose(0, 1), outputs, **CLOSE)
        torch.testing.assert_close(turned_state, state, **CLOSE)


def test_the_last_output_alone_can_be_asked_for(make):
    network = make().eval()
    inputs = torch.randn(3, 5, INPUTS)
    outputs, _ = network(inputs, None, 0.2)
    network.return_sequences = False
    assert torch.equal(network(inputs, None, 0.2)[0], outputs[:, -1])
    assert network(inputs[0], None, 0.2)[0].shape == (network.outputs,)


def test_no_elapsed_time_leaves_the_state_to_the_bit(network):
    inputs, start = torch.randn(2, 3, INPUTS), random_state(network, 2)
    elapsed = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.0, 0.1]])
    outputs, after = network(inputs, start, elapsed)
    for old, new in zip(parts(start), parts(after), strict=True):
        assert torch.equal(new[0], old[0])
        assert not torch.equal(new[1], old[1])
    assert outputs.isfinite().all()
    torch.testing.assert_close(outputs[1, 1], outputs[1, 0])
    _, stepped = network.step(inputs[:, 0], start, 0.0)
    for old, new in zip(parts(start), parts(stepped), strict=True):
        assert torch.equal(new, old)


def test_gradients_are_finite_where_no_time_passes(network):
    if not any(parameter.requires_grad for parameter in network.parameters()):
        pytest.skip("a reservoir has no parameters that learn by gradients")
    inputs = torch.randn(2, 3, INPUTS, requires_grad=True)
    network(inputs, None, torch.tensor([0.0, 0.1, 0.0]))[0].sum().backward()
    assert inputs.grad.isfinite().all()
    for parameter in network.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


@pytest.mark.parametrize("elapsed", [-0.1, float("nan"), float("inf"), [0.1, -1e-6, 0.1]])
def test_time_that_runs_backwards_or_is_no_number_is_refused(network, elapsed):
    elapsed = torch.tensor(elapsed) if isinstance(elapsed, list) else elapsed
    with pytest.raises(ValueError, match="finite and 0 s or more"):
        network(torch.zeros(2, 3, INPUTS), None, elapsed)
    with pytest.raises(ValueError, match="finite and 0 s or more"):
        network.step(torch.zeros(3, INPUTS), None, elapsed)


@pytest.mark.parametrize(
    "shape", [(2, 3, INPUTS + 1), (2, 3, 2, INPUTS), (INPUTS,), (2, 0, INPUTS)]
)
def test_an_input_of_another_shape_is_refused_with_both_shapes(network, shape):
    with pytest.raises(ValueError, match=rf"{INPUTS}\).*got \({', '.join(map(str, shape))},?\)"):
        network(torch.zeros(shape), None, 0.1)
    if shape != (INPUTS,):
        with pytest.raises(ValueError, match=rf"\(batch, {INPUTS}\) or \({INPUTS},\), got"):
            network.step(torch.zeros(shape), None, 0.1)


def test_an_input_that_is_no_tensor_is_refused(network):
    for call in (network, network.step):
        with pytest.raises(TypeError, match=r"torch\.Tensor, got list"):
            call([[0.0] * INPUTS] * 3, None, 0.1)


@pytest.mark.parametrize("shape", [(2,), (3, 2), (1,), (2, 3, 2)])
def test_elapsed_times_of_another_shape_are_refused_with_both_shapes(network, shape):
    with pytest.raises(ValueError, match=r"shapes \(\(\), \(3,\), \(2, 3\)\), got \("):
        network(torch.zeros(2, 3, INPUTS), None, torch.ones(shape))
    with pytest.raises(ValueError, match=r"shapes \(\(\), \(5,\)\), got \("):
        network.step(torch.zeros(5, INPUTS), None, torch.ones(shape))


def test_a_state_of_another_shape_is_refused_with_both_shapes(network):
    sizes = network.state_sizes
    for batch in (3, 1):
        with pytest.raises(ValueError, match=rf"\(2, {sizes[0]}\).*got \({batch}, {sizes[0]}\)"):
            network(torch.zeros(2, 3, INPUTS), random_state(network, batch), 0.1)
    parts_more = (*parts(random_state(network, 2)), torch.zeros(2, 1))
    with pytest.raises(ValueError, match="The state must"):
        network(torch.zeros(2, 3, INPUTS), parts_more, 0.1)


@pytest.mark.parametrize("state", ["abc", 3, [None]])
def test_a_state_that_is_no_tensor_is_refused(network, state):
    for call, inputs in ((network, torch.zeros(2, 3, INPUTS)), (network.step, torch.zeros(3, 4))):
        with pytest.raises(TypeError, match=r"The state must be a .*tensor.*, got \w+"):
            call(inputs, state)


@pytest.mark.parametrize("elapsed", ["soon", torch.ones(3, dtype=torch.cfloat)])
def test_elapsed_times_that_are_no_real_numbers_are_refused(network, elapsed):
    with pytest.raises(TypeError, match="Elapsed times must be"):
        network(torch.zeros(2, 3, INPUTS), None, elapsed)


def test_a_time_beyond_the_precision_of_the_parameters_is_refused(network):
    with pytest.raises(ValueError, match=r"got 1e\+39 s for a circuit of torch\.float32"):
        network(torch.zeros(2, 3, INPUTS), None, 1e39)
    with pytest.raises(ValueError, match=r"finite and 0 s or more, got 100000\.0 s"):
        network.half()(torch.zeros(2, 3, INPUTS), None, 1e5)


def test_complex_inputs_are_refused(network):
    for call in (network, network.step):
        with pytest.raises(TypeError, match="real numbers, got complex"):
            call(torch.zeros(3, INPUTS, dtype=torch.cfloat))


@pytest.mark.parametrize("time_unit", [0, -1.0, float("nan"), float("inf")])
def test_an_impossible_time_unit_is_refused_when_the_network_is_made(make, time_unit):
    with pytest.raises(
        ValueError, match=f"time unit must be finite and above 0 s, got {time_unit}"
    ):
        make(time_unit=time_unit)


def test_elapsed_times_may_be_numbers_lists_and_arrays_under_either_name(network):
    inputs, times = torch.randn(2, 3, INPUTS), torch.tensor([0.1, 0.2, 0.3])
    expected, _ = network(inputs, None, times)
    for given in (times.tolist(), times.numpy(), times.expand(2, 3).unsqueeze(2)):
        assert torch.equal(network(inputs, None, given)[0], expected)
        assert torch.equal(network(inputs, timespans=given)[0], expected)
    assert torch.equal(network(inputs, timespans=0.2)[0], network(inputs, None, 0.2)[0])
    alone = network(inputs[0], None, times.unsqueeze(1))[0]
    assert torch.equal(alone, network(inputs[0], None, times)[0])


def test_an_argument_given_under_both_names_is_refused(network):
    state = random_state(network, 2)
    with pytest.raises(ValueError, match="state and hx are two names"):
        network(torch.zeros(2, 3, INPUTS), state, 0.1, hx=state)
    with pytest.raises(ValueError, match="elapsed and timespans are two names"):
        network(torch.zeros(2, 3, INPUTS), state, 0.1, timespans=torch.ones(2, 3))


def test_it_learns(make, request):
    torch.manual_seed(0)
    network = make()
    if not any(parameter.requires_grad for parameter in network.parameters()):
        pytest.skip("a reservoir has no parameters that learn by gradients")
    optimiser = torch.optim.Adam(
        [parameter for parameter in network.parameters() if parameter.requires_grad], 0.01
    )
    inputs, targets = torch.rand(8, 4, INPUTS), 0.5 * torch.rand(8, 4, network.outputs)
    losses = []
    for _ in range(25):
        loss = (network(inputs, None, 0.5)[0] - targets).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
