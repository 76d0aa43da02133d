"""Maps of one decision or one neuron equal direct computations, for every network of the zoo."""

import itertools

import numpy as np
import pytest
import torch

from liquid_control.attention import maps as module
from liquid_control.attention.explained import Explained, targets
from liquid_control.attention.maps import METHODS, maps
from liquid_control.errors import InputError
from liquid_control.policy import Driver
from liquid_control.training.networks import CIRCUITS

SIZE = (78, 200)


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_what_is_explained_decides_as_the_driver_does(circuit, policy_of, blobs):
    policy, frames = policy_of(circuit), blobs(4)
    driver = Driver(policy)
    decisions = [driver.step(frame, 0.05) for frame in frames]
    states = torch.from_numpy(np.array([each.state_before for each in decisions]))
    for place, name in enumerate(policy.spec.names):
        explained = Explained(policy, name)
        with torch.no_grad():
            found = explained(
                explained.pixels(torch.from_numpy(frames)), states, torch.full((4,), 0.05)
            )
        wanted = [each.command[place] for each in decisions]
        limits = policy.spec.low[place], policy.spec.high[place]
        np.testing.assert_allclose(np.clip(found.numpy(), *limits), wanted, atol=1e-5)
    if policy.state_names:
        explained = Explained(policy, policy.state_names[2])
        with torch.no_grad():
            found = explained(
                explained.pixels(torch.from_numpy(frames)), states, torch.full((4,), 0.05)
            )
        np.testing.assert_allclose(found.numpy(), [each.state[2] for each in decisions], atol=1e-5)


def quick(circuit, method):
    return circuit == "ncp-ltc" or (circuit, method) == ("cnn", "guided-grad-cam")


@pytest.mark.parametrize(
    ("circuit", "method"),
    [
        pytest.param(*each, marks=() if quick(*each) else pytest.mark.slow)
        for each in itertools.product(CIRCUITS, METHODS)
    ],
)
def test_every_method_explains_every_network(circuit, method, monkeypatch, policy_of, blobs):
    monkeypatch.setattr(module, "STEPS", 2)
    policy, frames = policy_of(circuit), blobs(2)
    for target in ("curvature", targets(policy)[3]):
        found = maps(policy, frames, method, target)
        assert (found.shape, found.dtype) == ((2, *SIZE), np.float32)
        assert found.min() >= 0
        assert found.max() <= 1
        signed = maps(policy, frames, method, target, signed=True)
        assert np.abs(signed).max() <= 1
        if method != "visual-backprop":
            np.testing.assert_allclose(np.abs(signed), found, atol=1e-6)
    assert found.max() > 0 or target.startswith("feature")


def pixel_slope(explained, pixels, given, place, step=1e-4):
    moved = [pixels.clone(), pixels.clone()]
    for sign, values in zip((-1, 1), moved, strict=True):
        values[0][place] += sign * step
    with torch.no_grad():
        low, high = (explained(values, *given) for values in moved)
    return float((high - low) / (2 * step))


@pytest.mark.parametrize(
    ("circuit", "target"),
    [("ncp-ltc", "command_1"), pytest.param("cnn", "curvature", marks=pytest.mark.slow)],
)
def test_the_gradient_is_the_slope_of_the_target_in_each_pixel(circuit, target, policy_of, blobs):
    policy, frames = policy_of(circuit), blobs()
    found = maps(policy, frames, "gradient", target, signed=True)[0]
    explained = Explained(policy.double(), target)
    pixels = explained.pixels(torch.from_numpy(frames)).double()
    numbers = sum(policy.circuit.state_sizes)
    given = torch.zeros(1, numbers, dtype=torch.double), torch.full((1,), 1 / 30)
    inside = np.argwhere((np.abs(found) > 0.3) & (np.abs(found) < 0.95))
    slopes, shades = [], []
    for row, column in inside[:: len(inside) // 8]:
        each = [pixel_slope(explained, pixels, given, (c, row, column)) for c in range(3)]
        slopes.append(max(each, key=abs))
        shades.append(found[row, column])
    scale = np.linalg.norm(slopes) / np.linalg.norm(shades)
    np.testing.assert_allclose(np.array(slopes) / scale, shades, atol=0.02)


def test_guided_backprop_lets_only_positive_gradients_through_active_units(policy_of, blobs):
    """A direct backward pass through a CNN, layer by layer, by the rule of the paper."""
    policy, frames = policy_of("cnn"), blobs()
    head = policy.head
    explained = Explained(policy, "curvature")
    values = explained.pixels(torch.from_numpy(frames))
    layers = []
    with torch.no_grad():
        for convolution in head.convolutions:
            before = convolution(values)
            layers.append((convolution, values.shape, before))
            values = before.relu()
        shape, values = values.shape, values.flatten(1)
        dense = []
        for layer in head.dense:
            before = layer(values)
            dense.append((layer, before))
            values = before.relu()
        signal = policy.circuit.readout.weight[:1] * policy.scale[0]
        for layer, before in reversed(dense):
            signal = torch.where(before > 0, signal.clamp(min=0), 0.0) @ layer.weight
        signal = signal.view(shape)
        for convolution, size, before in reversed(layers):
            signal = torch.where(before > 0, signal.clamp(min=0), 0.0)
            signal = torch.nn.grad.conv2d_input(
                size, convolution.weight, signal, convolution.stride
            )
    signal = signal[0].numpy()
    strongest = np.take_along_axis(signal, np.abs(signal).argmax(0)[None], 0)[0]
    strongest = np.clip(strongest / np.quantile(np.abs(strongest), 0.99), -1, 1)
    found = maps(policy, frames, "guided-backprop", "curvature", signed=True)[0]
    np.testing.assert_allclose(found, strongest, atol=1e-3)


def test_grad_cam_weighs_the_last_maps_by_their_mean_gradient(policy_of, blobs):
    policy, frames = policy_of("ncp-ltc"), blobs()
    explained = Explained(policy, "feature_6")
    with torch.no_grad():
        last = explained.convolve(explained.pixels(torch.from_numpy(frames)))[-1][0]
    # Feature 6 is unit 2 of filter 1 alone, and linear in its map where it is active.
    coarse = float(policy.head.dense_weight[1, :, 2].detach().mean()) * last[1].numpy()
    found = maps(policy, frames, "grad-cam", "feature_6", signed=True)[0]
    # The middle of what an entry of the map reads, by the padding of each layer.
    np.testing.assert_allclose(found[5::8, 7::8], coarse / np.abs(coarse).max(), atol=1e-4)


@pytest.mark.parametrize("circuit", ["ncp-ltc", "cnn"])
@pytest.mark.parametrize("place", [(1, 5), (2, 12)])
def test_a_coarse_map_lies_on_the_pixels_that_it_was_made_from(circuit, place, policy_of):
    explained = Explained(policy_of(circuit))
    pixels = torch.rand(1, 3, *SIZE).requires_grad_()
    maps_ = [part.abs().sum(1) for part in explained.convolve(pixels)[-1:]]
    # All weights positive: the gradient is the field that an entry reads.
    for convolution in explained.policy.head.convolutions:
        convolution.weight.data.abs_()
    maps_ = explained.convolve(pixels)[-1].sum(1)
    (field,) = torch.autograd.grad(maps_[0, place[0], place[1]], pixels)
    rows, columns = field.abs().sum((0, 1, 3)), field.abs().sum((0, 1, 2))
    read = [
        float((np.arange(len(part)) * part.numpy()).sum() / part.sum()) for part in (rows, columns)
    ]
    one = torch.zeros_like(maps_.detach())
    one[0, place[0], place[1]] = 1
    drawn = explained.place(one)[0]
    middle = [
        float((np.arange(len(part)) * part.numpy()).sum() / part.sum())
        for part in (drawn.sum(1), drawn.sum(0))
    ]
    assert middle == pytest.approx(read, abs=3)


def test_visual_backprop_without_a_target_is_the_published_one(policy_of, blobs):
    policy, frames = policy_of("ncp-ltc"), blobs(2)
    driver = Driver(policy)
    for frame, found in zip(frames, maps(policy, frames), strict=True):
        driver.step(frame, 1 / 30)
        np.testing.assert_allclose(found, driver.attention(), atol=1e-5)


def test_the_map_of_an_inter_neuron_sees_only_what_its_sensory_synapses_let_through(
    policy_of, blobs
):
    policy, frames = policy_of("ncp-ltc"), blobs()
    neuron = 4
    heard = np.flatnonzero(policy.wiring.sensory[:, neuron])
    deaf = [index for index in range(8) if not set(range(4 * index, 4 * index + 4)) & set(heard)]
    before = maps(policy, frames, target=f"inter_{neuron}")
    assert before.max() == 1
    with torch.no_grad():
        # Features that it has no synapse from may do as they like.
        for index in set(range(32)) - set(heard):
            policy.head.dense_weight[index // 4, :, index % 4] *= -3
    np.testing.assert_allclose(maps(policy, frames, target=f"inter_{neuron}"), before, atol=1e-5)
    assert len(deaf) < 8


def test_a_neuron_before_the_recurrence_ignores_the_state_and_one_behind_it_does_not(
    policy_of, blobs
):
    policy, frames = policy_of("ncp-ltc"), blobs()
    states = np.random.default_rng(1).normal(0, 0.5, (1, 19)).astype(np.float32)
    first = maps(policy, frames, "grad-cam", "curvature")
    assert np.abs(maps(policy, frames, "grad-cam", "curvature", states) - first).max() > 1e-3
    published = maps(policy, frames)
    np.testing.assert_array_equal(maps(policy, frames, state=states, elapsed=0.2), published)


def test_many_frames_are_each_explained_by_themselves(policy_of, blobs):
    policy, frames = policy_of("lstm-64"), blobs(35)
    states = np.random.default_rng(1).normal(0, 0.5, (35, 128)).astype(np.float32)
    elapsed = np.linspace(0.02, 0.1, 35)
    together = maps(policy, frames, "gradient", "unit_5", states, elapsed)
    for index in (0, 34):
        alone = maps(
            policy, frames[index, None], "gradient", "unit_5", states[index, None], elapsed[index]
        )
        np.testing.assert_allclose(together[index], alone[0], atol=1e-4)


def test_a_frame_without_contrast_has_no_integrated_gradients(policy_of):
    policy = policy_of("ncp-ltc")
    grey = np.full((1, *SIZE, 3), 90, np.uint8)
    assert not maps(policy, grey, "integrated-gradients").any()


def test_explaining_leaves_the_policy_as_it_was(policy_of, blobs):
    policy = policy_of("cnn").train()
    maps(policy, blobs(), "guided-backprop")
    assert policy.training
    assert policy.head.training
    assert all(parameter.grad is None for parameter in policy.parameters())


def test_an_unknown_method_or_target_is_answered_with_those_that_look_like_it(policy_of, blobs):
    policy = policy_of("ncp-ltc")
    with pytest.raises(InputError, match=r"no attention method 'gradcam'; choose one of grad-cam"):
        maps(policy, blobs(), "gradcam")
    with pytest.raises(InputError, match=r"no output or neuron 'comand_3'.* command_3"):
        maps(policy, blobs(), "gradient", "comand_3")
    with pytest.raises(InputError, match="direction only with a target"):
        maps(policy, blobs(), signed=True)
