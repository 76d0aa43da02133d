"""The vision head as ONNX: uint8 frames to features, with what attention needs on demand.

Standardisation is part of the graph, in float32 whatever the precision of the weights: a sum over
an image of 46,800 numbers does not fit a float16.
"""

from __future__ import annotations

import numpy as np

from liquid_control.deploy.onnx_graph import Graph
from liquid_control.perception import VisionHead
from liquid_control.perception.baseline import BaselineHead

__all__ = ["add_head"]

Head = VisionHead | BaselineHead


def add_head(graph: Graph, head: Head, precision: type = np.float32) -> tuple[str, int]:
    """Add everything from the input `frames` to the tensor `features`.

    Also adds the outputs `activity` (batch, channels of the first and of the last convolution) and
    `attention` (batch, rows, columns), as `Driver.activity` and `Driver.attention` give them.

    Args:
        graph: gets the input `frames`, uint8 RGB (batch, rows, columns, 3).
        head: of the policy.
        precision: of the convolutions and dense layers.

    Returns:
        The name of the features, float32 (batch, features), and how many they are.
    """
    rows, columns = head.size
    graph.input("frames", (rows, columns, 3), "uint8")
    maps = _standardise(graph, rows * columns * 3)
    if precision != np.float32:
        maps = graph.add("Cast", [maps], "pixels_half", to=10)
    size, activations = head.size, []
    for index, (layer, convolution) in enumerate(zip(head.layers, head.convolutions, strict=True)):
        pads = [layer.padding(length) for length in size]
        weight = graph.constant(f"conv{index}_weight", _numpy(convolution.weight), precision)
        bias = graph.constant(f"conv{index}_bias", _numpy(convolution.bias), precision)
        name = graph.add(
            "Conv",
            [maps, weight, bias],
            f"conv{index}",
            kernel_shape=[layer.kernel] * 2,
            strides=[layer.stride] * 2,
            pads=[pads[0][0], pads[1][0], pads[0][1], pads[1][1]],
        )
        maps = graph.add("Relu", [name], f"maps{index}")
        size = tuple(
            (length + sum(pad) - layer.kernel) // layer.stride + 1
            for length, pad in zip(size, pads, strict=True)
        )
        activations.append((maps, size))
    dense = _baseline_dense if isinstance(head, BaselineHead) else _vision_dense
    features = dense(graph, head, maps, size, precision)
    _attention(graph, head, _wide(graph, activations, precision))
    if precision != np.float32:
        features = graph.add("Cast", [features], "features_wide", to=1)
    # The name on the outside, whatever the precision.
    return graph.add("Identity", [features], "features"), head.features


def _standardise(graph: Graph, count: int) -> str:
    """As `perception.standardise` of uint8 frames, (batch, 3, rows, columns)."""
    # Bytes are cheaper to move than floats.
    moved = graph.add("Transpose", ["frames"], "frames_nchw", perm=[0, 3, 1, 2])
    pixels = graph.add("Cast", [moved], "pixels", to=1)
    # Rows first: one sum over all 46,800 pixels would lose four of seven digits.
    row = graph.constant("row_axis", [3], np.int64)
    rest = graph.constant("image_axes", [1, 2], np.int64)
    mean = graph.add("ReduceMean", [pixels, row], "row_mean", keepdims=1)
    mean = graph.add("ReduceMean", [mean, rest], "image_mean", keepdims=1)
    centred = graph.add("Sub", [pixels, mean], "centred")
    norm = graph.add("ReduceL2", [centred, row], "row_norm", keepdims=1)
    norm = graph.add("ReduceL2", [norm, rest], "image_norm", keepdims=1)
    # deviation = norm / sqrt(count), at least 255 / sqrt(count).
    floor = graph.constant("norm_floor", 255.0)
    root = graph.constant("norm_root", count**0.5)
    floored = graph.add("Max", [norm, floor], "norm_floored")
    scale = graph.add("Div", [root, floored], "image_scale")
    return graph.add("Mul", [centred, scale], "standardised")


def _vision_dense(graph: Graph, head: VisionHead, maps: str, size: tuple, precision: type) -> str:
    """Each filter's own dense layer: a convolution in groups whose kernel is the whole map."""
    filters, _, units = head.dense_weight.shape
    weight = _numpy(head.dense_weight).transpose(0, 2, 1).reshape(filters * units, 1, *size)
    inputs = [
        maps,
        graph.constant("dense_weight", weight, precision),
        graph.constant("dense_bias", _numpy(head.dense_bias).reshape(-1), precision),
    ]
    dense = graph.add("Conv", inputs, "dense", kernel_shape=list(size), group=filters)
    active = graph.add("Relu", [dense], "dense_active")
    return graph.add("Flatten", [active], "dense_row")


def _baseline_dense(
    graph: Graph, head: BaselineHead, maps: str, size: tuple, precision: type
) -> str:
    hidden = graph.add("Flatten", [maps], "flat")
    for index, layer in enumerate(head.dense):
        weight = graph.constant(f"dense{index}_weight", _numpy(layer.weight), precision)
        bias = graph.constant(f"dense{index}_bias", _numpy(layer.bias), precision)
        name = graph.add("Gemm", [hidden, weight, bias], f"dense{index}", transB=1)
        hidden = graph.add("Relu", [name], f"dense{index}_active")
    return hidden


def _wide(graph: Graph, activations: list, precision: type) -> list:
    """The maps in float32."""
    if precision == np.float32:
        return activations
    return [(graph.add("Cast", [maps], f"{maps}_wide", to=1), size) for maps, size in activations]


def _attention(graph: Graph, head: Head, activations: list[tuple[str, tuple]]) -> None:
    """As `attention.visual_backprop`, node by node; and the mean activity of channels."""
    scope, graph.scope = graph.scope, "attention/"
    channel = graph.constant("channel_axis", [1], np.int64)
    area = graph.constant("area_axes", [2, 3], np.int64)
    ends = [
        graph.add("ReduceMean", [activations[index][0], area], f"activity{index}", keepdims=0)
        for index in (0, len(activations) - 1)
    ]
    graph.output(graph.add("Concat", ends, "activity", axis=1), (_channels(head),))
    means = [
        graph.add("ReduceMean", [maps, channel], f"mean{index}", keepdims=1)
        for index, (maps, _) in enumerate(activations)
    ]
    saliency = means[-1]
    for index in reversed(range(len(means))):
        size = activations[index - 1][1] if index else head.size
        saliency = _scale_up(graph, head, index, saliency, activations[index][1], size)
        if index:
            saliency = graph.add("Mul", [saliency, means[index - 1]], f"saliency{index - 1}")
    low = graph.add("ReduceMin", [saliency, area], "saliency_low", keepdims=1)
    high = graph.add("ReduceMax", [saliency, area], "saliency_high", keepdims=1)
    span = graph.add("Sub", [high, low], "saliency_span")
    above = graph.add("Sub", [saliency, low], "saliency_above")
    share = graph.add("Div", [above, span], "saliency_share")
    nothing = graph.constant("nothing", 0.0)
    contrast = graph.add("Greater", [span, nothing], "has_contrast")
    shown = graph.add("Where", [contrast, share, nothing], "saliency_shown")
    graph.output(graph.add("Squeeze", [shown, channel], "attention"), head.size)
    graph.scope = scope


def _scale_up(
    graph: Graph, head: Head, index: int, saliency: str, size: tuple, below: tuple
) -> str:
    """Transposed convolution of ones, cut to the size of the map below."""
    layer = head.layers[index]
    ones = graph.constant(f"ones{index}", np.ones((1, 1, layer.kernel, layer.kernel)))
    before = [layer.padding(length)[0] for length in below]
    spread = [(length - 1) * layer.stride + layer.kernel for length in size]
    over = [had - start - wanted for had, start, wanted in zip(spread, before, below, strict=True)]
    return graph.add(
        "ConvTranspose",
        [saliency, ones],
        f"spread{index}",
        kernel_shape=[layer.kernel] * 2,
        strides=[layer.stride] * 2,
        pads=[*before, *(max(each, 0) for each in over)],
        # A stride may leave rows below unread; they get no saliency.
        output_padding=[max(-each, 0) for each in over],
    )


def _channels(head: Head) -> int:
    return head.layers[0].filters + head.layers[-1].filters


def _numpy(tensor: object) -> np.ndarray:
    return tensor.detach().cpu().numpy()
