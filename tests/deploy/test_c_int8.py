"""The head in 8 bits: C computes the integers that it should, close to the head in float32."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from liquid_control.camera import CameraSetup
from liquid_control.command import CURVATURE, CommandSpec
from liquid_control.deploy import c_export
from liquid_control.deploy.c_build import compiler
from liquid_control.deploy.c_driver import CDriver
from liquid_control.deploy.c_head import PIXEL_STEPS
from liquid_control.deploy.c_quantise import QuantisedHead, map_scales, quantise
from liquid_control.errors import InputError
from liquid_control.perception import VisionHead
from liquid_control.policy import Driver, Policy

HEIGHT, WIDTH = 19, 30


def frames(count: int) -> np.ndarray:
    """Smooth random pictures, uint8 (count, rows, columns, 3)."""
    rng = np.random.default_rng(2)
    coarse = torch.from_numpy(rng.uniform(0, 255, (count, 3, 4, 6)))
    fine = functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear")
    return fine.permute(0, 2, 3, 1).round().to(torch.uint8).numpy()


def reference(head: VisionHead, quantised: QuantisedHead, frame: np.ndarray) -> np.ndarray:
    """Features by exact integers in float64, with torch's convolution."""
    pixels = frame.astype(np.float64)
    deviation = max(pixels.std(), 255 / np.sqrt(pixels.size))
    maps = torch.from_numpy(np.rint((pixels - pixels.mean()) * PIXEL_STEPS))
    maps = maps.permute(2, 0, 1)[None]
    for index, (layer, own) in enumerate(zip(head.layers, quantised.layers, strict=True)):
        top, bottom = layer.padding(maps.shape[2])
        left, right = layer.padding(maps.shape[3])
        maps = functional.pad(maps, (left, right, top, bottom))
        sums = functional.conv2d(maps, torch.from_numpy(own.weight).double(), stride=layer.stride)
        factor = own.factor / (deviation * PIXEL_STEPS) if index == 0 else own.factor
        levels = sums * torch.from_numpy(factor)[:, None, None].double()
        levels += torch.from_numpy(own.shift)[:, None, None].double()
        maps = torch.floor(levels + 0.5).clamp(0, 255)
    flat = maps[0].flatten(1)[:, None].numpy()  # (filters, 1, pixels)
    sums = (flat @ quantised.dense_weight.astype(np.float64))[:, 0]
    return np.maximum(sums * quantised.dense_factor + quantised.dense_bias, 0).ravel()


@pytest.fixture
def policy() -> Policy:
    torch.manual_seed(5)
    policy = Policy(CommandSpec((CURVATURE,)), CameraSetup(HEIGHT, WIDTH))
    with torch.no_grad():
        for convolution in policy.head.convolutions:
            convolution.bias.uniform_(-0.1, 0.1)
    return policy


def test_c_computes_the_integers_it_should_close_to_float(policy, tmp_path, monkeypatch):
    try:
        compiler()
    except InputError as error:
        pytest.skip(str(error))
    shown = frames(24)
    policy.save(tmp_path / "model")
    monkeypatch.setattr(c_export, "calibration_frames", lambda policy, root: shown[:16])
    made = c_export.export_c(
        tmp_path / "model", tmp_path / "c", "int8", prefix="model", calibrate="bag"
    )
    assert made.calibration == 16
    quantised = quantise(policy.head, shown[:16])
    driver, real = CDriver(tmp_path / "c"), Driver(policy)
    for frame in shown[16:]:
        driver.step(frame, 0.03)
        real.step(frame, 0.03)
        size = real.features.max()
        # One level more or less, where float32 rounds a tie the other way.
        exact = reference(policy.head, quantised, frame)
        assert np.abs(driver.features - exact).max() < 2e-3 * size
        assert np.abs(driver.features - real.features).max() < 0.05 * size
    small = c_export.sources(policy, "model", "float")[0]
    assert made.flash_head * 3 < small.flash_head
    assert made.ram_scratch * 3 < small.ram_scratch


def test_scales_clip_little_and_need_frames(policy):
    shown = frames(8)
    scales = map_scales(policy.head, shown)
    with torch.inference_mode():
        maps = policy.head(torch.from_numpy(shown), True)[1]
    for scale, each in zip(scales, maps, strict=True):
        assert 0.25 * each.max() <= 255 * scale <= each.max() * 1.001
        assert (each > 255 * scale).float().mean() < 1e-3
    with pytest.raises(InputError, match="needs frames"):
        map_scales(policy.head, np.empty((0, HEIGHT, WIDTH, 3), np.uint8))


def test_weights_keep_their_sign_and_lose_half_a_step(policy):
    quantised = quantise(policy.head, frames(4))
    for layer, convolution in zip(quantised.layers, policy.head.convolutions, strict=True):
        weight = convolution.weight.detach().numpy()
        step = np.abs(weight).max((1, 2, 3), keepdims=True) / 127
        assert np.abs(layer.weight * step - weight).max() <= 0.5001 * step.max()
        assert (np.abs(layer.weight).max((1, 2, 3)) == 127).all()
    sizes = [layer.weight.shape[0] for layer in quantised.layers]
    assert [layer.weight.shape[1] for layer in quantised.layers][1:] == [
        a for a, _ in pairwise(sizes)
    ]


def test_a_calibration_needs_a_recording(tmp_path: Path):
    Policy(CommandSpec((CURVATURE,))).save(tmp_path / "model")
    with pytest.raises(InputError, match="no bag"):
        c_export.export_c(tmp_path / "model", tmp_path / "c", "int8", calibrate=tmp_path / "model")
