"""Which pixels a decision, or one neuron, rests on: six methods behind one call.

- visual-backprop: what the head's convolutions answered to, whatever became of it (Bojarski et al.,
  "VisualBackProp: efficient visualization of CNNs", 2016);
- gradient: which pixels change the target most (Simonyan, Vedaldi and Zisserman, 2014);
- grad-cam: the last maps, each weighted by its mean gradient (Selvaraju et al., ICCV 2017, eq. 1);
- guided-backprop: the gradient of positive steps alone (Springenberg et al., 2015);
- guided-grad-cam: the product of the two before (Selvaraju et al., 2017);
- integrated-gradients: each pixel's share in the difference to a frame without contrast
  (Sundararajan, Taly and Yan, 2017).

VisualBackProp with a target is weighted by what the last maps contribute to it, see `maps`. What
each of them says, and what it does not, is in docs/attention.md.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from liquid_control.attention.explained import Explained
from liquid_control.attention.visual_backprop import visual_backprop
from liquid_control.errors import InputError, nearest_first

__all__ = ["METHODS", "check_method", "maps"]

METHODS = (
    "visual-backprop",
    "gradient",
    "grad-cam",
    "guided-backprop",
    "guided-grad-cam",
    "integrated-gradients",
)
STEPS = 64  # of the path of integrated gradients, by Gauss and Legendre
PART = 32  # frames at once, which the cache holds
# Of a map of single pixels; a few of them would else leave the rest dark.
BRIGHTEST = 0.99


def check_method(method: str) -> str:
    """The method itself.

    Raises:
        InputError: there is none of this name.
    """
    if method not in METHODS:
        raise InputError(
            f"There is no attention method {method!r}; choose one of "
            f"{nearest_first(method, METHODS)}."
        )
    return method


def maps(
    policy: nn.Module,
    frames: np.ndarray,
    method: str = METHODS[0],
    target: str | None = None,
    state: np.ndarray | None = None,
    elapsed: float | np.ndarray = 1 / 30,
    signed: bool = False,
) -> np.ndarray:
    """Saliency of frames, each seen by itself from the state before it.

    VisualBackProp without a target is the published one: it depends on the head alone, not on state
    or elapsed time. With a target its last layer's mean over channels is replaced by the sum of
    activation times the target's gradient, place by place, which is what each place contributes to
    the target to first order (HiResCAM; Draelos and Carin 2020). So all that the wiring does
    between the frame and a neuron counts: its sensory synapses, and those in between.

    The other methods explain the first output where no target is given. Commands and neurons have
    two directions, so that a map shows how strongly a pixel pushes, whichever way: Grad-CAM takes
    the magnitude in the place of its ReLU. With `signed` the direction is kept.

    Args:
        policy: a `policy.Policy`, in evaluation mode.
        frames: uint8 RGB (N, rows, columns, 3), prepared by `policy.camera.apply`.
        method: one of `METHODS`.
        target: an output, a neuron or a feature, see `explained.targets`.
        state: before each frame, float32 (N, numbers) as `Decision.state_before`; zeros by default.
        elapsed: time since the frame before [s], a number or (N,).
        signed: maps in [-1, 1], positive where a pixel raises the target; not for VisualBackProp
            without a target, which knows no direction.

    Returns:
        float32 (N, rows, columns) in [0, 1]: VisualBackProp scaled from its least to its greatest
        value, maps of single pixels by their 99 % quantile, Grad-CAM by its greatest value.

    Raises:
        InputError: an unknown method or target, or a signed map that does not exist.
    """
    check_method(method)
    if signed and method == "visual-backprop" and target is None:
        raise InputError(
            "VisualBackProp has a direction only with a target; name an output or a neuron."
        )
    explained = Explained(policy, target)
    device = policy.scale.device
    count = len(frames)
    numbers = sum(policy.circuit.state_sizes)
    states = torch.zeros(count, numbers) if state is None else torch.from_numpy(np.array(state))
    times = torch.from_numpy(np.broadcast_to(np.asarray(elapsed, np.float32), count).copy())
    whole = torch.from_numpy(np.array(frames))
    found = []
    for part in zip(whole.split(PART), states.split(PART), times.split(PART), strict=True):
        pixels, before, passed = explained.pixels(part[0]), *(x.to(device) for x in part[1:])
        if method == "visual-backprop":
            found.append(_visual_backprop(explained, pixels, before, passed, target, signed))
        else:
            values = _GRADIENTS[method](explained, pixels, before.float(), passed)
            brightest = 1.0 if method == "grad-cam" else BRIGHTEST
            found.append(_scaled(values.detach(), signed, brightest))
    return torch.cat(found).cpu().numpy()


def _visual_backprop(
    explained: Explained,
    pixels: Tensor,
    state: Tensor,
    elapsed: Tensor,
    target: str | None,
    signed: bool,
) -> Tensor:
    head = explained.policy.head
    with torch.no_grad():
        activations = explained.convolve(pixels)
        if target is None:
            return visual_backprop(activations, head.layers, head.size)
    last = activations[-1].requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(explained.decide(last, state, elapsed).sum(), last)
    relevance = (gradient * last.detach()).sum(1, keepdim=True)
    if signed:
        both = [
            visual_backprop(activations, head.layers, head.size, part, scaled=False)
            for part in (relevance.clamp(min=0), relevance.clamp(max=0))
        ]
        return _scaled(both[0] + both[1], True, 1.0)
    return visual_backprop(activations, head.layers, head.size, relevance.abs())


def _gradient(explained: Explained, pixels: Tensor, *given: Tensor) -> Tensor:
    from captum.attr import Saliency

    method = Saliency(explained)
    found = method.attribute(_leaf(pixels), abs=False, additional_forward_args=given)
    return _strongest(found)


def _guided(explained: Explained, pixels: Tensor, *given: Tensor) -> Tensor:
    from captum.attr import GuidedBackprop

    method = GuidedBackprop(explained)
    with warnings.catch_warnings():
        # That it hooks ReLU modules, which are `explained`'s own.
        warnings.filterwarnings("ignore", "Setting backward hooks", UserWarning)
        found = method.attribute(_leaf(pixels), additional_forward_args=given)
    return _strongest(found)


def _grad_cam(explained: Explained, pixels: Tensor, *given: Tensor) -> Tensor:
    from captum.attr import LayerGradCam

    method = LayerGradCam(explained, explained.last_maps)
    found = method.attribute(_leaf(pixels), additional_forward_args=given)
    return explained.place(found.squeeze(1))


def _guided_grad_cam(explained: Explained, pixels: Tensor, *given: Tensor) -> Tensor:
    coarse = _grad_cam(explained, pixels, *given).detach()
    return _guided(explained, pixels, *given) * coarse.abs()


def _integrated(explained: Explained, pixels: Tensor, *given: Tensor) -> Tensor:
    from captum.attr import IntegratedGradients

    # The path starts at zeros: what a frame without any contrast looks like once standardised.
    found = IntegratedGradients(explained).attribute(
        _leaf(pixels), 0.0, additional_forward_args=given, n_steps=STEPS, internal_batch_size=PART
    )
    return found.float().sum(1)


_GRADIENTS = {
    "gradient": _gradient,
    "grad-cam": _grad_cam,
    "guided-backprop": _guided,
    "guided-grad-cam": _guided_grad_cam,
    "integrated-gradients": _integrated,
}


def _leaf(pixels: Tensor) -> Tensor:
    return pixels.detach().requires_grad_()


def _strongest(values: Tensor) -> Tensor:
    """Of a pixel's three colours the value (N, rows, columns) of greatest magnitude."""
    place = values.abs().argmax(1, keepdim=True)
    return values.gather(1, place).squeeze(1)


def _scaled(values: Tensor, signed: bool, brightest: float) -> Tensor:
    """Values (N, rows, columns) by a quantile of their magnitude, clipped to 1."""
    strength = values.abs().flatten(1)
    scale = strength.amax(1) if brightest == 1 else strength.quantile(brightest, 1)
    scale = torch.where(scale > 0, scale, strength.amax(1)).view(-1, 1, 1)
    scaled = torch.nan_to_num(values / scale, nan=0.0).clamp(-1, 1).float()
    return scaled if signed else scaled.abs()
