"""Whether an attention map is worth something: noise, road, and what hiding its pixels changes."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import nn

from liquid_control.attention.explained import Explained

__all__ = ["ORDERS", "SHARES", "Curves", "hiding", "on_road", "shuffled"]

ORDERS = ("attention", "random", "inverse")
# Of the tiles that are hidden, or shown.
SHARES = np.linspace(0.0, 1.0, 11)
TILE = 8  # [px]; a step of the head's last map
BLUR = 10.0  # [px], standard deviation
# How long a changed frame is held up before the command is read [s]: neurons take their time.
HOLD_S = 0.2


@dataclass(frozen=True)
class Curves:
    """How far a target moves as a frame is hidden, or shown, tile by tile.

    Args:
        deletion: by order, (11,): distance to the target of the whole frame, in the target's unit,
            with the share `SHARES` of the tiles replaced by the frame's mean colour.
        insertion: by order, (11,): the same with that share of a blurred frame's tiles made sharp.
    """

    deletion: dict[str, np.ndarray]
    insertion: dict[str, np.ndarray]

    def areas(self) -> dict[str, dict[str, float]]:
        """Area under each curve, by the trapezoidal rule: "deletion" and "insertion" by order."""
        return {
            name: {order: float(np.trapezoid(curve, SHARES)) for order, curve in curves.items()}
            for name, curves in vars(self).items()
        }


def hiding(
    explained: Explained,
    frame: np.ndarray,
    saliency: np.ndarray,
    state: np.ndarray,
    elapsed: float,
    rng: np.random.Generator,
) -> Curves:
    """Deletion and insertion (Petsiuk, Das and Saenko, "RISE", BMVC 2018, section 4.1).

    Pixels are hidden in tiles of 8 x 8, as in the region perturbation of Samek et al. (2017): the
    same grain for every method and for the controls. A deletion curve that rises early, and an
    insertion curve that falls early, says that what the map shows is what the target rests on.
    Controls are a random order of the tiles, and the map's own order from its least to its most.

    Args:
        explained: the policy and the target.
        frame: uint8 RGB (rows, columns, 3), prepared.
        saliency: floats (rows, columns).
        state: before the frame, float32 (numbers,).
        elapsed: time since the frame before [s].
        rng: of the random order.
    """
    ranks = _orders(saliency, rng)
    mean = np.broadcast_to(frame.mean((0, 1)).round().astype(np.uint8), frame.shape)
    blurred = cv2.GaussianBlur(frame, (0, 0), BLUR)
    shown = []
    for order in ORDERS:
        for share in SHARES:
            chosen = _pixels(ranks[order] < round(share * ranks[order].size), frame.shape)
            shown.append(np.where(chosen, mean, frame))
            shown.append(np.where(chosen, frame, blurred))
    found = _held(explained, np.stack([frame, *shown]), state, elapsed)
    moved = np.abs(found[1:] - found[0]).reshape(len(ORDERS), len(SHARES), 2)
    return Curves(
        *({order: moved[place, :, kind] for place, order in enumerate(ORDERS)} for kind in (0, 1))
    )


def on_road(saliency: np.ndarray, road: np.ndarray) -> tuple[float, float]:
    """Share of a map's sum that lies on the road, and share of the pixels that are road.

    The first is NaN for an empty map.
    """
    total = float(saliency.sum(dtype=np.float64))
    share = float(saliency[road].sum(dtype=np.float64)) / total if total > 0 else np.nan
    return share, float(road.mean())


def shuffled(policy: nn.Module, seed: int = 0) -> nn.Module:
    """The policy with the weights of each of its tensors in random order.

    A map that looks the same for it says nothing about what was learnt (Adebayo et al., "Sanity
    checks for saliency maps", NeurIPS 2018, where weights are drawn afresh).
    """
    other = copy.deepcopy(policy)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for values in other.parameters():
            flat = values.reshape(-1)
            values.copy_(flat[torch.randperm(len(flat), generator=generator)].view_as(values))
    return other


@torch.inference_mode()
def _held(
    explained: Explained, frames: np.ndarray, state: np.ndarray, elapsed: float
) -> np.ndarray:
    """The target (N,) after each of some frames was held up for a while."""
    policy = explained.policy
    times = max(1, round(HOLD_S / elapsed)) if elapsed > 0 else 1
    features = policy.features(torch.from_numpy(frames).to(policy.scale.device))
    features = features.unsqueeze(1).expand(-1, times, -1)
    count = len(frames)
    before = torch.from_numpy(np.array(state, np.float32)).to(features).expand(count, -1)
    passed = features.new_full((count, times), elapsed)
    return explained.settle(features, before, passed).double().cpu().numpy()


def _orders(saliency: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Rank of each tile (rows, columns) in each order."""
    rows, columns = (-(-length // TILE) for length in saliency.shape)
    tiles = cv2.resize(saliency, (columns, rows), interpolation=cv2.INTER_AREA).ravel()
    chance = rng.permutation(tiles.size)
    # Ties, as in an empty map, fall at random too, instead of from the top left.
    first = chance[np.argsort(-tiles[chance], kind="stable")]
    found = {}
    for order, places in zip(
        ORDERS, (first, rng.permutation(tiles.size), first[::-1]), strict=True
    ):
        ranks = np.empty(tiles.size, int)
        ranks[places] = np.arange(tiles.size)
        found[order] = ranks.reshape(rows, columns)
    return found


def _pixels(tiles: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """bool (rows, columns, 1) of tiles."""
    whole = cv2.resize(tiles.astype(np.uint8), shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return whole.astype(bool)[..., None]
