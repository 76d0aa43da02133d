"""What a round of DAgger trains on, and how far the policy was from the expert."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from liquid_control.command import CommandSpec
from liquid_control.data.bag import BagReader
from liquid_control.data.drive import Drive
from liquid_control.data.messages import read_named_vector, stamp_of
from liquid_control.errors import InputError
from liquid_control.training.dagger.recipe import DaggerRecipe
from liquid_control.training.split import part_of

__all__ = ["Answers", "answers", "around_mistakes", "choose"]

_EXPERT, _POLICY, _DONE = "/expert/command", "/policy/command", "/command"


@dataclass(frozen=True)
class Answers:
    """What policy and expert wanted at each of N frames of a bag.

    Args:
        names: of the outputs.
        stamps: int64 (N,) [ns].
        policy: (N, outputs) of the policy, in the outputs' units.
        expert: the same outputs of the expert.
        driven: bool (N,), the expert's command was carried out.
        half: (outputs,) half the range of each.
        outcome: figures of the episode.
    """

    names: tuple[str, ...]
    stamps: np.ndarray
    policy: np.ndarray
    expert: np.ndarray
    driven: np.ndarray
    half: np.ndarray
    outcome: dict[str, float]

    @property
    def errors(self) -> np.ndarray:
        """(N,) largest error of the policy as a share of half an output's range."""
        return (np.abs(self.policy - self.expert) / self.half).max(axis=1)


def answers(bag: Path) -> Answers:
    """Read the answers of a bag that a `Mixture` drove.

    Raises:
        InputError: `bag` is no such bag.
    """
    rows: dict[str, dict[int, dict[str, float]]] = {_EXPERT: {}, _POLICY: {}, _DONE: {}}
    with BagReader(bag) as reader:
        reader.require(*rows)
        for topic, _, message in reader.messages(list(rows)):
            rows[topic][stamp_of(message)] = read_named_vector(message)
        facts = reader.facts
    stamps = sorted(rows[_POLICY].keys() & rows[_EXPERT].keys() & rows[_DONE].keys())
    names = list(rows[_POLICY][stamps[0]]) if stamps else []
    if not names or "command" not in facts or "outcome" not in facts:
        raise InputError(
            f"{bag} is no whole recording of DAgger; remove it, and it is recorded again."
        )

    def column(topic: str) -> np.ndarray:
        return np.array([[rows[topic][stamp][name] for name in names] for stamp in stamps])

    spec = CommandSpec.from_dict(json.loads(facts["command"]))
    half = ((spec.high - spec.low) / 2)[[spec.names.index(name) for name in names]]
    policy, expert, done = column(_POLICY), column(_EXPERT), column(_DONE)
    # A pull into the command moves it away from both.
    driven = np.abs(done - expert).sum(axis=1) < np.abs(done - policy).sum(axis=1)
    outcome = json.loads(facts["outcome"])
    return Answers(tuple(names), np.array(stamps, np.int64), policy, expert, driven, half, outcome)


def around_mistakes(
    drive: Drive, found: Answers, share: float, around: float, lead: int
) -> list[Drive]:
    """The stretches of a drive near a mistake of the policy, with frames of weight 0 before them.

    Args:
        drive: a recording.
        found: its answers.
        share: errors above this are mistakes.
        around: kept before and after each [s].
        lead: frames before a stretch that only build up the state.
    """
    wrong = found.stamps[found.errors > share]
    if not len(wrong):
        return []
    after = np.searchsorted(wrong, drive.stamps).clip(0, len(wrong) - 1)
    distances = [np.abs(wrong[k] - drive.stamps) for k in (after, (after - 1).clip(0))]
    near = np.minimum(*distances) <= around * 1e9
    kept = np.convolve(near, np.ones(lead + 1), "full")[lead:] > 0
    edges = np.flatnonzero(np.diff(np.r_[0, kept.astype(int), 0]))
    marked = replace(drive, weights=np.where(near, drive.weights, np.float32(0)))
    return [part_of(marked, *map(int, pair)) for pair in edges.reshape(-1, 2)]


def choose(
    recipe: DaggerRecipe, number: int, demonstrations: Sequence[Drive], rounds: Sequence[list]
) -> list[Drive]:
    """The drives of round `number`: the newest first, then the older ones.

    A training holds back what comes last to validate and test on, so that is never the newest.

    Args:
        recipe: `frames`, `newest` and `seed` count.
        number: of the round.
        demonstrations: what the first policy was trained on.
        rounds: drives of each round so far, the newest last.
    """
    *before, newest = rounds
    older = [*(drive for drives in before for drive in drives), *demonstrations]
    weighed = [replace(d, weights=d.weights * np.float32(recipe.newest)) for d in newest]
    if not recipe.frames:
        return [*weighed, *older]
    room = recipe.frames - sum(map(len, newest))
    taken = []
    for k in np.random.default_rng([recipe.seed, number]).permutation(len(older)):
        if len(older[k]) <= room:
            room -= len(older[k])
            taken.append(int(k))
    return [*weighed, *(older[k] for k in sorted(taken))]
