"""VisualBackProp equals a slow transcription of the paper, and looks where the signal is."""

import numpy as np
import pytest
import torch

from liquid_control.attention.explained import Explained
from liquid_control.attention.maps import maps
from liquid_control.attention.visual_backprop import visual_backprop
from liquid_control.perception import VisionHead
from liquid_control.perception.baseline import BaselineHead
from liquid_control.perception.head import LAYERS


def slow_saliency(maps, size, same=True):
    """One image, entry by entry, in double precision; maps as (channels, rows, columns).

    `same` says that the convolutions are padded; both heads have the same kernels and strides.
    """
    averages = [values.mean(0) for values in maps]
    current = averages[-1]
    for index in range(len(LAYERS) - 1, -1, -1):
        _, kernel, stride = LAYERS[index]
        rows, columns = averages[index - 1].shape if index else size
        # The first pixel that the convolution read: see TensorFlow's SAME padding.
        top = max((-(-rows // stride) - 1) * stride + kernel - rows, 0) // 2 * same
        left = max((-(-columns // stride) - 1) * stride + kernel - columns, 0) // 2 * same
        spread = np.zeros((rows, columns))
        for row, column in np.ndindex(*current.shape):
            y, x = row * stride - top, column * stride - left
            spread[max(y, 0) : max(y + kernel, 0), max(x, 0) : max(x + kernel, 0)] += current[
                row, column
            ]
        current = spread * averages[index - 1] if index else spread
    return (current - current.min()) / (current.max() - current.min())


@pytest.mark.parametrize("seed", range(3))
def test_it_equals_a_slow_implementation_of_the_paper(seed):
    torch.manual_seed(seed)
    frames = torch.randint(0, 256, (2, 78, 200, 3), dtype=torch.uint8)
    with torch.no_grad():
        _, maps = VisionHead()(frames, return_activations=True)
    fast = visual_backprop(maps, LAYERS, (78, 200)).numpy()
    assert (fast.shape, fast.dtype) == ((2, 78, 200), np.float32)
    for image in range(2):
        slow = slow_saliency([m[image].double().numpy() for m in maps], (78, 200))
        np.testing.assert_allclose(fast[image], slow, atol=1e-5)


def test_it_equals_a_slow_implementation_for_the_baseline_whose_convolutions_are_not_padded():
    torch.manual_seed(3)
    head = BaselineHead()
    frames = torch.randint(0, 256, (1, 78, 200, 3), dtype=torch.uint8)
    with torch.no_grad():
        _, maps = head(frames, return_activations=True)
    fast = visual_backprop(maps, head.layers, (78, 200)).numpy()[0]
    slow = slow_saliency([m[0].double().numpy() for m in maps], (78, 200), same=False)
    np.testing.assert_allclose(fast, slow, atol=1e-5)


def one_hot_maps(row, column):
    """Maps in which the same place, given on the last map's grid, is active in each layer."""
    maps = []
    for filters, rows, columns in ((24, 39, 100), (36, 20, 50), (48, 10, 25), (64, 10, 25)):
        values = torch.zeros(1, filters, rows, columns)
        y, x = row * rows // 10, column * columns // 25
        step = rows // 10 + 1
        values[:, :, max(y - step, 0) : y + 2 * step, max(x - step, 0) : x + 2 * step] = 1
        maps.append(values)
    last = torch.zeros(1, 8, 10, 25)
    last[:, :, row, column] = 1
    return [*maps, last]


@pytest.mark.parametrize(("row", "column"), [(0, 0), (9, 24), (5, 12), (2, 20)])
def test_saliency_lies_where_all_layers_are_active(row, column):
    saliency = visual_backprop(one_hot_maps(row, column), LAYERS, (78, 200))[0]
    ys, xs = torch.nonzero(saliency > 0.5, as_tuple=True)
    assert abs(ys.float().mean() - (row + 0.5) * 7.8) < 8
    assert abs(xs.float().mean() - (column + 0.5) * 8) < 8


def test_an_image_that_activates_nothing_has_no_saliency():
    maps = one_hot_maps(5, 12)
    both = [torch.cat((m, torch.zeros_like(m))) for m in maps]
    saliency = visual_backprop(both, LAYERS, (78, 200))
    assert saliency[0].max() == 1
    assert not saliency[1].any()


def test_each_image_has_its_own_scale():
    maps = one_hot_maps(5, 12)
    both = [torch.cat((m, 1e-3 * m)) for m in maps]
    saliency = visual_backprop(both, LAYERS, (78, 200))
    torch.testing.assert_close(saliency[0], saliency[1])


def test_the_map_of_a_feature_is_made_from_its_own_filter_alone(policy_of, blobs):
    policy, frames = policy_of("ncp-ltc"), blobs()
    explained = Explained(policy)
    with torch.no_grad():
        activations = explained.convolve(explained.pixels(torch.from_numpy(frames)))
        features = policy.features(torch.from_numpy(frames))[0]
    index = int(features.argmax())
    filter_, unit = divmod(index, 4)
    weight = policy.head.dense_weight[filter_, :, unit].detach().view(10, 25)
    begun = (weight * activations[-1][0, filter_]).abs().double().numpy()
    below = [each[0].double().numpy() for each in activations[:-1]]
    slow = slow_saliency([*below, begun[None]], (78, 200))
    found = maps(policy, frames, target=f"feature_{index}")[0]
    np.testing.assert_allclose(found, slow, atol=1e-5)
