"""Calibrates the attention monitor of a model, and measures what it notices.

python benchmarks/attention_monitor.py calibrate driving_ncp data/driving_v1
    fits what training looks like and the limits of an alarm; models/NAME/attention_monitor.json
python benchmarks/attention_monitor.py measure driving_ncp data/monitor/driving_v1
    alarms in drives that had no part in it, and in the same drives disturbed from their middle on
python benchmarks/attention_monitor.py follow driving_ncp data/monitor/shadows
    what is said in each drive, and in its last seconds
python benchmarks/attention_monitor.py cost driving_ncp
    processor time of the guarantees, the map and the monitor, beside that of a step
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import attention_rates as rates
import numpy as np
import torch
import tyro
from attention_disturbances import disturbances
from tqdm import tqdm

from liquid_control import models
from liquid_control.attention.monitor import AttentionMonitor, Calibration, Limits, describe
from liquid_control.attention.visual_backprop import visual_backprop
from liquid_control.data.drive import find_bags, load_drive
from liquid_control.errors import InputError
from liquid_control.files import replace_file
from liquid_control.policy import Driver, Policy
from liquid_control.policy.fingerprint import weights_hash
from liquid_control.policy.guarantees import Guarantees

EVERY = 6  # frames; the node's default
BATCH = 16
RESULTS = Path(__file__).parent / "results"
# In normal drives: one alarm in so long [s]. Half of that is what the calibration allows itself, as
# other drives will always be a little more unusual.
BETWEEN_ALARMS = 600.0


@dataclass
class Maps:
    """Attention in frames of one drive.

    Args:
        maps: float32 (frames, rows, columns).
        activity: float32 (frames, channels).
        elapsed: from one to the next [s].
    """

    maps: np.ndarray
    activity: np.ndarray
    elapsed: float

    def follow(self, calibration: Calibration) -> np.ndarray:
        """(frames, 3): similarity, drift and alarm of a monitor that begins with the first."""
        monitor = AttentionMonitor(calibration)
        seen = [
            monitor.look(saliency, activity, self.elapsed)
            for saliency, activity in zip(self.maps, self.activity, strict=True)
        ]
        return np.array([(each.similarity, each.drift, each.alarm) for each in seen])


@torch.inference_mode()
def attention(policy: Policy, frames: np.ndarray, elapsed: float) -> Maps:
    """Attention in frames uint8 (frames, rows, columns, 3) as the policy sees them."""
    head, maps, activity = policy.head, [], []
    for first in range(0, len(frames), BATCH):
        batch = torch.from_numpy(np.array(frames[first : first + BATCH]))
        _, activations = head(batch, True)
        maps.append(visual_backprop(activations, head.layers, head.size).numpy())
        ends = (activations[0], activations[-1])
        activity.append(torch.cat([each.mean((2, 3)) for each in ends], 1).numpy())
    return Maps(np.concatenate(maps), np.concatenate(activity), elapsed)


def drives(
    policy: Policy, bags: list[Path], every: int = EVERY, longest: float = 1e9
) -> Iterator[tuple[np.ndarray, float]]:
    """Frames of each bag that the monitor looks at, and the time between them [s]."""
    for bag in tqdm(bags, unit="bag"):
        drive = load_drive(bag, policy.camera, ())
        elapsed = every * drive.period
        yield np.asarray(drive.frames[::every][: int(longest / elapsed)]), elapsed


def calibrate(
    model: tyro.conf.Positional[str],
    bags: tyro.conf.Positional[list[str]],
    most: int = 160,
    every: int = EVERY,
) -> None:
    """Fit a model's calibration to drives like those that it was trained on.

    Every other bag says what is usual, those between how far an ordinary drive strays from it.

    Args:
        model: name or folder.
        bags: bags, or folders with bags.
        most: bags to use, spread evenly over all.
        every: frames from one that is looked at to the next.
    """
    torch.set_num_threads(1)
    folder = models.find(model)
    policy = Policy.load(folder)
    found = _spread([bag for root in bags for bag in find_bags(root)], most)
    if len(found) < 8:
        raise InputError(f"A calibration needs at least 8 bags, got {len(found)}; give more.")
    seen = [attention(policy, *drive) for drive in drives(policy, found, every)]
    usual, ordinary = seen[::2], seen[1::2]
    descriptions = np.array(
        [
            describe(saliency, activity)
            for each in usual
            for saliency, activity in zip(each.maps, each.activity, strict=True)
        ]
    )
    mean, whitening = Calibration.fit(descriptions)
    never = Limits(np.inf, np.inf, -np.inf, -np.inf)
    blank = Calibration(weights_hash(policy.head), mean, whitening, never)
    followed = [each.follow(blank) for each in ordinary]
    seconds = sum(len(each.maps) * each.elapsed for each in ordinary)
    limits = _limits(followed, [each.elapsed for each in ordinary], seconds)
    facts = {
        "bags": len(found),
        "frames": len(descriptions),
        "seconds_for_limits": round(seconds, 1),
        "seconds_between_alarms": BETWEEN_ALARMS,
        "every": every,
    }
    calibration = Calibration(blank.head, mean, whitening, limits, facts)
    calibration.save(folder)
    print(f"{folder / 'attention_monitor.json'}: {limits}, {facts}")


def _spread(bags: list[Path], most: int) -> list[Path]:
    if len(bags) <= most:
        return bags
    return [bags[round(place)] for place in np.linspace(0, len(bags) - 1, most)]


def _limits(followed: list[np.ndarray], elapsed: list[float], seconds: float) -> Limits:
    """So that ordinary drives raise half as many alarms as promised, by either figure a half."""
    settled = [each[int(1.0 / step) + 1 :] for each, step in zip(followed, elapsed, strict=True)]
    # In one drive. Drives are independent, moments of one are not: so the extremes of drives count.
    chance = seconds / len(settled) / BETWEEN_ALARMS / 4
    drift = _exceeded(np.array([each[:, 1].max() for each in settled]), chance)
    similarity = -_exceeded(np.array([-each[:, 0].min() for each in settled]), chance)
    together = np.concatenate(settled)
    return Limits(
        drift=drift,
        drift_clear=float(min(np.quantile(together[:, 1], 0.99), 0.97 * drift)),
        similarity=similarity,
        similarity_clear=float(max(np.quantile(together[:, 0], 0.01), similarity + 0.05)),
    )


def _exceeded(extremes: np.ndarray, chance: float, tail: float = 0.2) -> float:
    """The level that a drive's extreme exceeds with a chance, which may be rarer than was seen.

    The upper tail is taken to be exponential (peaks over threshold, Coles 2001, section 4).
    """
    if chance >= tail:
        return float(np.quantile(extremes, 1 - chance))
    begin = float(np.quantile(extremes, 1 - tail))
    excess = float((extremes[extremes > begin] - begin).mean())
    return begin + excess * float(np.log(tail / chance))


def measure(
    model: tyro.conf.Positional[str],
    bags: tyro.conf.Positional[list[str]],
    most: int = 24,
    seconds: float = 10.0,
    every: int = EVERY,
    others: tuple[str, ...] = (),
    rest: str = "",
) -> None:
    """False alarms in drives that had no part in the calibration, and what is noticed in others.

    Each drive is seen whole; then `seconds` of it as they are, and as long disturbed.

    Args:
        model: name or folder.
        bags: drives that had no part in the calibration.
        most: drives to disturb.
        seconds: before and after a disturbance begins [s].
        every: frames from one that is looked at to the next.
        others: NAME=FOLDER of bags of other worlds, seen as the policy would.
        rest: folder that `calibrate` took its bags from; the others in it count as normal, too.
    """
    torch.set_num_threads(1)
    folder = models.find(model)
    policy = Policy.load(folder)
    calibration = _calibration(folder, policy)
    found = [bag for root in bags for bag in find_bags(root)]
    results = {"model": folder.name, "bags": len(found), "normal": {}, "disturbed": {}}
    clean = []
    for frames, elapsed in drives(policy, found, every):
        clean.append((frames, elapsed, attention(policy, frames, elapsed)))
    scores = [maps.follow(calibration) for _, _, maps in clean]
    steps = [elapsed for _, elapsed, _ in clean]
    results["normal"]["drives"] = rates.normal(scores, steps)
    if rest:
        bags = find_bags(rest)
        used = set(_spread(bags, calibration.facts["bags"]))
        left = [bag for bag in bags if bag not in used]
        steps = [each for _, each in drives(policy, left[:1], every)] * len(left)
        more = [
            attention(policy, *drive).follow(calibration) for drive in drives(policy, left, every)
        ]
        results["normal"]["rest"] = rates.normal(more, steps)
    print(results["normal"])
    span = int(seconds / clean[0][1])
    chosen = [clean[i] for i in np.linspace(0, len(clean) - 1, min(most, len(clean))).astype(int)]
    middle = [min(span, len(frames) // 2) for frames, _, _ in chosen]
    kinds: dict[str, list[np.ndarray]] = {}
    for name, disturb in disturbances(policy.head.size).items():
        kinds[name] = [
            disturb(frames[at : at + span], seed)
            for seed, ((frames, _, _), at) in enumerate(zip(chosen, middle, strict=True))
        ]
    for text in others:
        name, _, path = text.partition("=")
        kinds[name] = list(_other_world(policy, path, every, span, len(chosen)))
    normal = np.concatenate([each[10:] for each in scores])
    for name, spans in tqdm(kinds.items(), unit="disturbance"):
        runs = []
        for (_, elapsed, maps), at, frames in zip(chosen, middle, spans, strict=False):
            odd = attention(policy, frames, elapsed)
            joined = Maps(
                np.concatenate((maps.maps[:at], odd.maps)),
                np.concatenate((maps.activity[:at], odd.activity)),
                elapsed,
            )
            runs.append((joined.follow(calibration), at, elapsed))
        results["disturbed"][name] = rates.noticed(runs, normal)
        print(
            name,
            {
                key: value
                for key, value in results["disturbed"][name].items()
                if key not in ("drift", "false_alarms", "detections")
            },
        )
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"attention_monitor_{folder.name}.json"
    replace_file(path, json.dumps(results) + "\n")
    print(path)


def _other_world(
    policy: Policy, path: str, every: int, span: int, most: int
) -> Iterator[np.ndarray]:
    """Frames of another world's drives as the policy would see them."""
    for bag in find_bags(path)[:most]:
        frames = load_drive(bag, policy.camera, ()).frames[::every][:span]
        yield np.asarray(frames)


def follow(
    model: tyro.conf.Positional[str],
    bags: tyro.conf.Positional[list[str]],
    last: float = 5.0,
    every: int = EVERY,
) -> None:
    """When alarms began in drives, and the figures before their end, such as a crash.

    Args:
        model: name or folder.
        bags: bags, or folders with bags.
        last: seconds before the end [s].
        every: frames from one that is looked at to the next.
    """
    torch.set_num_threads(1)
    folder = models.find(model)
    policy = Policy.load(folder)
    calibration = _calibration(folder, policy)
    print(f"limits: {calibration.limits}")
    found = [bag for root in bags for bag in find_bags(root)]
    for bag, (frames, elapsed) in zip(found, drives(policy, found, every), strict=True):
        seen = attention(policy, frames, elapsed).follow(calibration)
        begins = np.flatnonzero(np.diff(seen[:, 2], prepend=0.0) > 0) * elapsed
        end = seen[-int(last / elapsed) :]
        print(
            f"{bag.name}: {len(seen) * elapsed:.1f} s, alarms at {begins.round(1).tolist()} s; "
            f"drift median {np.median(seen[:, 1]):.1f}, in the last {last:g} s at most "
            f"{end[:, 1].max():.1f}; similarity there at least {end[:, 0].min():.2f}"
        )


def _calibration(folder: Path, policy: Policy) -> Calibration:
    calibration = Calibration.load(folder, weights_hash(policy.head))
    if calibration is None:
        raise InputError(f"{folder} has no calibration; run calibrate first.")
    return calibration


def cost(model: tyro.conf.Positional[str], turns: int = 400) -> None:
    """Processor time of a step, the map, the monitor and the guarantees: medians and ratios.

    Args:
        model: name or folder.
        turns: of each.
    """
    torch.set_num_threads(1)
    folder = models.find(model)
    policy = Policy.load(folder)
    driver, guarantees = Driver(policy), Guarantees.of(policy)
    calibration = _calibration(folder, policy)
    monitor = AttentionMonitor(calibration)
    frames = np.random.default_rng(0).integers(0, 256, (8, *policy.head.size, 3), np.uint8)
    decision = driver.step(frames[0], 1 / 30)
    saliency, activity = driver.attention(), driver.activity()
    parts: dict[str, Callable[[int], object]] = {
        "step": lambda turn: driver.step(frames[turn % 8], 1 / 30),
        "map": lambda turn: (driver.attention(), driver.activity()),
        "monitor": lambda turn: monitor.look(saliency, activity, 0.2),
        "guarantees": lambda turn: guarantees.check(decision),
    }
    times: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(turns):
        for name, part in parts.items():
            began = time.thread_time_ns()
            part(turn)
            times[name].append((time.thread_time_ns() - began) * 1e-6)
    low = {name: float(np.quantile(values, 0.1)) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name}: median {np.median(values):.4f} ms, tenth percentile {low[name]:.4f} ms")
    share = (low["map"] + low["monitor"]) / low["step"]
    print(f"map and monitor: {share:.0%} of a step, every {EVERY} frames {share / EVERY:.1%}")


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict(
        {"calibrate": calibrate, "measure": measure, "follow": follow, "cost": cost}
    )
