"""The vision head is the one of the paper: sizes, padding, separate heads, standardisation."""

import numpy as np
import pytest
import torch

from liquid_control.perception import VisionHead, standardise
from liquid_control.perception.head import LAYERS, Layer


@pytest.fixture
def head():
    torch.manual_seed(0)
    return VisionHead()


def frames_of(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 78, 200, 3), dtype=torch.uint8, generator=generator)


def test_it_has_the_79420_parameters_of_the_paper(head):
    convolutions = [sum(p.numel() for p in layer.parameters()) for layer in head.convolutions]
    assert convolutions == [1_824, 21_636, 15_600, 27_712, 4_616]
    assert sum(p.numel() for p in head.parameters()) == 79_420


def test_its_maps_have_the_sizes_of_the_paper(head):
    features, maps = head(frames_of(2), return_activations=True)
    sizes = [(24, 39, 100), (36, 20, 50), (48, 10, 25), (64, 10, 25), (8, 10, 25)]
    assert [tuple(m.shape[1:]) for m in maps] == sizes
    assert features.shape == (2, 32)
    assert all((m >= 0).all() for m in (*maps, features))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        # What tf.nn.conv2d pads with "SAME": the odd zero comes after.
        (78, 5, 2, (1, 2)),
        (39, 5, 2, (2, 2)),
        (20, 3, 2, (0, 1)),
        (25, 3, 2, (1, 1)),
        (10, 3, 1, (1, 1)),
        (6, 1, 2, (0, 0)),
    ],
)
def test_padding_is_tensorflow_s_same(size, kernel, stride, expected):
    assert Layer(1, kernel, stride).padding(size) == expected


def slow_convolution(image, weight, bias, stride):
    """One output pixel after the other, by the definition of SAME; (channels, rows, columns)."""
    filters, _, kernel, _ = weight.shape
    rows, columns = (-(-size // stride) for size in image.shape[1:])
    top, left = (
        max((out - 1) * stride + kernel - size, 0) // 2
        for out, size in zip((rows, columns), image.shape[1:], strict=True)
    )
    result = np.zeros((filters, rows, columns))
    for row in range(rows):
        for column in range(columns):
            total = bias.copy()
            for i in range(kernel):
                for j in range(kernel):
                    y, x = row * stride - top + i, column * stride - left + j
                    if 0 <= y < image.shape[1] and 0 <= x < image.shape[2]:
                        total += weight[:, :, i, j] @ image[:, y, x]
            result[:, row, column] = total
    return np.maximum(result, 0)


def test_it_agrees_with_convolutions_and_eight_heads_computed_one_by_one(head):
    with torch.no_grad():
        head.dense_bias.normal_()
        for layer in head.convolutions:
            layer.bias.normal_()
    frame = frames_of(1)
    pixels = frame[0].numpy() / 255.0
    image = ((pixels - pixels.mean()) / max(pixels.std(), pixels.size**-0.5)).transpose(2, 0, 1)
    for layer, convolution in zip(LAYERS, head.convolutions, strict=True):
        weight, bias = (p.detach().double().numpy() for p in (convolution.weight, convolution.bias))
        image = slow_convolution(image, weight, bias, layer.stride)
    expected = []
    for f in range(8):
        weight, bias = head.dense_weight[f].detach(), head.dense_bias[f].detach()
        expected += list(np.maximum(image[f].ravel() @ weight.numpy() + bias.numpy(), 0))
    features = head(frame)[0].detach().numpy()
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


def test_each_filter_feeds_its_own_four_features(head):
    _, maps = head(frames_of(1), return_activations=True)
    head.dense_bias.data.fill_(10.0)  # away from the ReLU's flat part
    features, maps = head(frames_of(1), return_activations=True)
    for feature in range(32):
        (gradient,) = torch.autograd.grad(features[0, feature], maps[-1], retain_graph=True)
        fed = gradient[0].flatten(1).any(1)
        assert fed.nonzero().flatten().tolist() == [feature // 4]


def test_bytes_and_floats_between_0_and_1_are_the_same_frame(head):
    frames = frames_of(2)
    torch.testing.assert_close(head(frames), head(frames / 255), rtol=1e-4, atol=1e-5)


def test_standardisation_is_zero_mean_unit_variance_for_each_image():
    frames = torch.cat([frames_of(2), frames_of(1) // 8 + 40])
    values = standardise(frames).flatten(1)
    torch.testing.assert_close(values.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(values.std(1, correction=0), torch.ones(3))


def test_light_and_contrast_do_not_change_what_the_head_sees(head):
    frames = frames_of(1) / 255
    torch.testing.assert_close(head(frames), head(0.3 * frames + 0.2), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("level", [0, 77, 255])
def test_an_even_image_gives_zeros_and_no_nan(level):
    frames = torch.full((1, 78, 200, 3), level, dtype=torch.uint8)
    assert torch.equal(standardise(frames), torch.zeros(1, 78, 200, 3))


def test_the_floor_of_the_deviation_is_the_reference_s():
    # One pixel value 1/255 off: the deviation is far below 1 / sqrt(46,800).
    frames = torch.full((1, 78, 200, 3), 100, dtype=torch.uint8)
    frames[0, 0, 0, 0] = 101
    expected = (1 / 255) * (1 - 1 / 46_800) * 46_800**0.5
    assert standardise(frames)[0, 0, 0, 0].item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("count", [0, 1, 33, 70])
def test_a_large_batch_is_the_same_as_its_frames(head, count):
    frames = frames_of(count)
    with torch.no_grad():
        together = head(frames)
        assert together.shape == (count, 32)
        for index in range(0, count, 11):
            alone = head(frames[index : index + 1])[0]
            torch.testing.assert_close(together[index], alone, rtol=1e-4, atol=1e-4)


def test_bfloat16_autocast_stays_close_and_trains_every_parameter(head):
    frames = frames_of(4)
    exact = head(frames).detach()
    with torch.autocast("cpu", torch.bfloat16):
        rough = head(frames)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().max() < 0.05 * exact.abs().max()
    rough.float().square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("shape", [(78, 200, 3), (1, 3, 78, 200), (1, 66, 200, 3)])
def test_frames_of_another_shape_are_refused(head, shape):
    with pytest.raises(ValueError, match="78, 200, 3"):
        head(torch.zeros(shape))
