"""Recomputes recorded decisions from their frames, by the same code that the node runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from liquid_control.camera import RobotCamera
from liquid_control.data.bag import BagReader
from liquid_control.data.messages import decode_image, image, image_hash, stamp_of
from liquid_control.deploy.runtime import ExportDriver
from liquid_control.errors import InputError
from liquid_control.evaluation.audit_record import Record
from liquid_control.policy import Driver, Policy

__all__ = ["Recomputed", "recompute_record"]


@dataclass(frozen=True)
class Recomputed:
    """What a decision comes to when it is made again.

    Args:
        image: hash of the frame's message as it is in the bag.
        frame: hash of the prepared frame; "" where the message cannot be decoded.
        command, state, time_constants: float32, as in `Decision`; None where there is nothing to
            step from: no frame that can be decoded, or an elapsed time that makes no sense.
        attention: the map uint8 (rows, columns), where asked for and one is recorded.
        apart: largest difference of it from the recorded one, in levels of 255.
    """

    image: str
    frame: str = ""
    command: np.ndarray | None = None
    state: np.ndarray | None = None
    time_constants: np.ndarray | None = None
    attention: np.ndarray | None = None
    apart: float | None = None


def recompute_record(
    reader: BagReader,
    record: Record,
    policies: Mapping[str, Policy],
    attention: bool = False,
    export: ExportDriver | None = None,
) -> tuple[dict[int, Recomputed], int]:
    """Every decision whose frame is in the bag, made again.

    One at a time: convolutions of several frames at once round differently. Where a frame was sent
    more than once, a decision is made from the message that it names.

    Args:
        reader: of the bag.
        record: of its decisions.
        policies: by hash of their weights; the first is taken where a decision names none of them.
        attention: recompute the maps, too.
        export: what drove, where it was not torch.

    Returns:
        By place in `record.decisions`, what was recomputed; and the number of frames between the
        first and the last decision that no decision was made on.
    """
    waiting: dict[int, list[int]] = defaultdict(list)
    for place, decision in enumerate(record.decisions):
        waiting[decision.stamp].append(place)
    first_one = next(iter(policies.values()))
    drivers: dict[int, Driver | ExportDriver] = {}
    # By hash of the facts: undoing a lens takes tables.
    cameras: dict[str, RobotCamera] = {}
    done: dict[int, Recomputed] = {}
    seen: set[int] = set()
    topics = {facts.image for facts in record.facts.values()}
    first, last = min(waiting), max(waiting)
    bar = tqdm(total=len(record.decisions), desc="audit", unit=" decisions", delay=1, disable=None)
    with bar:
        for _, _, message in reader.messages(topics & set(reader.topics)):
            stamp = stamp_of(message)
            seen.add(stamp)
            if stamp not in waiting:
                continue
            came = image_hash(message)
            for place in waiting[stamp]:
                named = record.decisions[place].hashes
                is_it = named is not None and named.image == came
                if place in done and (not is_it or done[place].image == came):
                    continue
                bar.update(place not in done)
                policy = policies.get(named.weights if named else "", first_one)
                if id(policy) not in drivers:
                    drivers[id(policy)] = export or Driver(policy)
                driver = drivers[id(policy)]
                done[place] = _again(driver, cameras, record, place, message, came, attention)
    if attention:
        _compare_maps(reader, record, done)
    idle = sum(first < stamp < last and stamp not in waiting for stamp in seen)
    return done, idle


def _again(
    driver: Driver | ExportDriver,
    cameras: dict[str, RobotCamera],
    record: Record,
    place: int,
    message: object,
    came: str,
    attention: bool,
) -> Recomputed:
    decision, policy = record.decisions[place], driver.policy
    if not decision.fits(policy):
        return Recomputed(came)
    try:
        facts = record.facts_of(decision)
        if facts.hash not in cameras:
            cameras[facts.hash] = facts.camera(policy.camera)
        frame = cameras[facts.hash].apply(decode_image(message))
        # A damaged number may be too large for float32; the chain of states tells of it.
        with np.errstate(over="ignore", invalid="ignore"):
            driver.restore(decision.state)
            made = driver.step(frame, decision.elapsed)
    except (InputError, ValueError):
        return Recomputed(came)
    again = Recomputed(came, made.frame_hash, made.command, made.state, made.time_constants)
    recorded = record.attention.get(decision.stamp) if attention else None
    if not recorded:
        return again
    level = np.rint(driver.attention() * 255).astype(np.uint8)
    told = image_hash(image(level, decision.stamp, message.header.frame_id))
    # Maps that are equal need not be kept.
    return replace(again, apart=0.0) if told in recorded else replace(again, attention=level)


def _compare_maps(reader: BagReader, record: Record, done: dict[int, Recomputed]) -> None:
    """Say of the maps that are not equal how far they are apart."""
    unequal = defaultdict(list)
    for place, again in done.items():
        if again.attention is not None:
            unequal[record.decisions[place].stamp].append(place)
    if not unequal:
        return
    for _, _, message in reader.messages([f"{record.node}/attention"]):
        for place in unequal.get(stamp_of(message), []):
            try:
                recorded = decode_image(message)[..., 0].astype(np.int16)
            except InputError:
                continue
            if recorded.shape == done[place].attention.shape:
                apart = float(np.abs(recorded - done[place].attention).max())
                done[place] = replace(done[place], apart=apart)
