"""A circuit that learns from a person's corrections while it drives.

    adaptation = OnlineAdaptation(policy)
    adaptation.add(sample)           # every decision, with the person's command or without
    update = adaptation.update()     # where accepted, `update.weights` are for who drives

Only the circuit learns: 1,069 numbers and its input and output maps. What a person did while the
vehicle was in hand are labels, as in interactive imitation (Kelly et al., "HG-DAgger", ICRA 2019);
what the policy did undisturbed is held on to, as nobody minded, but for the last moments before a
person stepped in (Spencer et al., "Expert Intervention Learning", 2021). Sequences start from the
state that was recorded, which other weights made, and their first frames do not count (Kapturowski
et al., "Recurrent Experience Replay", ICLR 2019). Every step is projected onto a trust region
around the shipped weights. The same samples give the same updates, to the bit.
"""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from liquid_control.circuits.flat import flat, put
from liquid_control.policy import Policy
from liquid_control.training.online_settings import Settings
from liquid_control.training.trust_region import TrustRegion

__all__ = ["OnlineAdaptation", "Sample", "Update"]

# Frames of a sequence, and how many of them only bring the state up to the present weights.
_LENGTH, _BURN_IN = 16, 2
# Frames that wait for what comes after them, at most, however small their elapsed times.
_WAITING = 256


class Sample(NamedTuple):
    """One decision, and what a person did meanwhile.

    Args:
        features: of the head, float32 (32,).
        state: of the neurons before the decision, float32 (19,).
        elapsed: since the frame before [s].
        reset: the state was fresh.
        command: the policy's own, physical units, (outputs,).
        person: the person's in the same terms, NaN where they say nothing of an output; None while
            nobody had the vehicle in hand.
    """

    features: np.ndarray
    state: np.ndarray
    elapsed: float
    reset: bool
    command: np.ndarray
    person: np.ndarray | None = None


@dataclass(frozen=True)
class Update:
    """What one update came to. Losses are mean squares, as shares of the commands' limits.

    Args:
        number: of the update, from 1, refused ones included.
        accepted: whether the weights have changed.
        before, weights: all numbers of the circuit, float32 (numbers,), before and after.
        loss_before, loss_after: against the person's commands that are kept; of a refused update,
            `loss_after` is that of what was refused.
        own_before, own_after: against the policy's own commands that are kept; NaN without any.
        distance: from the shipped weights as a share of the radius.
    """

    number: int
    accepted: bool
    before: np.ndarray
    weights: np.ndarray
    loss_before: float
    loss_after: float
    own_before: float
    own_after: float
    distance: float


class _Sequence(NamedTuple):
    """`_LENGTH` decisions in a row; targets are NaN where none counts."""

    features: Tensor  # (time, 32)
    elapsed: Tensor  # (time,)
    state: Tensor  # (units,), before the first
    person: Tensor  # (time, outputs), shares of the limits
    own: Tensor  # (time, outputs)


class OnlineAdaptation:
    """Learns from samples, in one thread, on a copy of the circuit.

    Args:
        policy: as shipped; it is copied.
        settings: how; those of `Settings()` by default.

    Attributes:
        region: around the shipped weights.
        updates, refused: how many updates there were, and how many of them were refused.
        ignored: samples with a number that is not finite.

    Raises:
        InputError: the policy's circuit is no plain LTC (see `TrustRegion`).
    """

    def __init__(self, policy: Policy, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.region = TrustRegion(policy.circuit, self.settings.radius)
        self._circuit = copy.deepcopy(policy.circuit)
        self._high = policy.spec.high.copy()
        self._low = torch.from_numpy(policy.spec.low / policy.spec.high)
        self._spec, self._tick = policy.spec, policy.tick
        self.updates = self.refused = self.ignored = 0
        self.forget()

    @property
    def weights(self) -> np.ndarray:
        """All numbers of the circuit now, float32 (numbers,), a copy."""
        return flat(self._circuit).numpy()

    def forget(self) -> None:
        """Go back to the shipped weights, and forget everything that was seen."""
        put(self._circuit, self.region.shipped)
        self._optimiser = torch.optim.Adam(self._circuit.parameters(), self.settings.rate)
        self._rng = np.random.default_rng(self.settings.seed)
        self._corrections: deque[_Sequence] = deque(maxlen=self.settings.corrections)
        self._own: deque[_Sequence] = deque(maxlen=self.settings.own)
        self._fresh = 0
        self._waiting: list[Sample] = []
        self._approved: list[bool] = []

    def add(self, sample: Sample) -> None:
        """Take in one decision; samples come in the order in which they were made."""
        numbers = (sample.features, sample.state, sample.command, sample.elapsed)
        if not all(np.isfinite(each).all() for each in numbers) or sample.elapsed < 0:
            self.ignored += 1
            self._cut()
            return
        if sample.reset:
            self._cut()
        if sample.person is not None and self._waiting and self._waiting[-1].person is None:
            self._blame()
        self._waiting.append(sample)
        self._approved.append(sample.person is None)
        while len(self._waiting) >= _LENGTH and self._settled():
            self._keep()

    def _settled(self) -> bool:
        """Whether no intervention to come can blame any of the first decisions that wait."""
        if len(self._waiting) >= _WAITING or True not in self._approved[:_LENGTH]:
            return True
        last = _LENGTH - 1 - self._approved[:_LENGTH][::-1].index(True)
        later = self._waiting[last + 1 :]
        blame = self.settings.blame
        return sum(s.elapsed for s in later) >= blame or any(s.person is not None for s in later)

    def _blame(self) -> None:
        """A person steps in: what led there is no example."""
        seconds = 0.0
        for row in range(len(self._waiting) - 1, -1, -1):
            if seconds > self.settings.blame or self._waiting[row].person is not None:
                return
            self._approved[row] = False
            seconds += self._waiting[row].elapsed

    def _cut(self) -> None:
        """The decisions so far belong together, and those to come do not."""
        while len(self._waiting) >= _LENGTH:
            self._keep()
        self._waiting, self._approved = [], []

    def _keep(self) -> None:
        """Make a sequence of the first decisions that wait."""
        samples, approved = self._waiting[:_LENGTH], self._approved[:_LENGTH]
        del self._waiting[:_LENGTH], self._approved[:_LENGTH]
        nothing = np.full(len(self._spec), np.nan, np.float32)
        # Infinite commands are as meaningless as NaN; finite ones are what the limits make of them.
        asked = [nothing if s.person is None else _finite(s.person) for s in samples]
        own = [s.command if good else nothing for s, good in zip(samples, approved, strict=True)]
        person, own = (
            torch.from_numpy(self._spec.clip(np.array(each)) / self._high) for each in (asked, own)
        )
        person[:_BURN_IN], own[:_BURN_IN] = torch.nan, torch.nan
        features = torch.from_numpy(np.array([s.features for s in samples], np.float32))
        elapsed = torch.tensor([s.elapsed for s in samples], dtype=torch.float32) / self._tick
        state = torch.from_numpy(np.array(samples[0].state, np.float32))
        sequence = _Sequence(features, elapsed, state, person, own)
        corrected = int((~person.isnan()).any(1).sum())
        self._fresh += corrected
        if corrected:
            self._corrections.append(sequence)
        elif not own.isnan().all():
            self._own.append(sequence)

    def update(self) -> Update | None:
        """Learn, if enough corrections have come since the last time; None if not."""
        if self._fresh < self.settings.every:
            return None
        self._fresh = 0
        self.updates += 1
        before = flat(self._circuit)
        loss_before, own_before = self._errors()
        self._train()
        ends = flat(self._circuit)
        weights, loss_after, own_after, accepted = before, np.nan, np.nan, False
        # Half or a quarter of the way may be good where the whole is not.
        for share in (1.0, 0.5, 0.25):
            put(self._circuit, self.region.project(before.lerp(ends, share)))
            candidate = flat(self._circuit)
            loss_after, own_after = self._errors()
            # Comparisons with NaN are false.
            better = loss_after < loss_before
            kept = not self._own or own_after <= max(own_before, self.settings.tolerance**2)
            if better and kept and self.region.holds(candidate):
                weights, accepted = candidate, True
                break
        else:
            self.refused += 1
            put(self._circuit, before)
            # Moments that led astray would lead there again.
            self._optimiser = torch.optim.Adam(self._circuit.parameters(), self.settings.rate)
        return Update(
            number=self.updates,
            accepted=accepted,
            before=before.numpy(),
            weights=weights.numpy(),
            loss_before=loss_before,
            loss_after=loss_after,
            own_before=own_before,
            own_after=own_after,
            distance=self.region.distance(weights),
        )

    def _train(self) -> None:
        for _ in range(self.settings.steps):
            chosen = [self._drawn(self._corrections), self._drawn(self._own)]
            batch = _stacked([each for part in chosen for each in part])
            outputs = self._outputs(batch)
            loss = _mean_square(outputs, batch.person)
            if not batch.own.isnan().all():
                loss = loss + self.settings.anchor * _mean_square(outputs, batch.own)
            self._optimiser.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self._circuit.parameters(), 1.0)
            if not torch.isfinite(norm):
                return
            self._optimiser.step()
            put(self._circuit, self.region.project(flat(self._circuit)))

    def _drawn(self, sequences: deque[_Sequence]) -> list[_Sequence]:
        """Different ones of them, at most a batch."""
        count = min(self.settings.batch, len(sequences))
        chosen = self._rng.choice(len(sequences), count, replace=False) if count else ()
        return [sequences[index] for index in chosen]

    def _outputs(self, batch: _Sequence) -> Tensor:
        """Commands as shares of the limits, (batch, time, outputs), not clipped."""
        return self._circuit(batch.features, batch.state, batch.elapsed)[0]

    @torch.no_grad()
    def _errors(self) -> tuple[float, float]:
        """Mean square against the person's and the own commands, clipped as when driving."""
        batch = _stacked([*self._corrections, *self._own])
        outputs = self._outputs(batch).clamp(self._low, torch.ones(()))
        found = (_mean_square(outputs, target) for target in (batch.person, batch.own))
        loss, own = map(float, found)
        return loss, own


def _finite(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float32)
    return np.where(np.isfinite(values), values, np.float32(np.nan))


def _stacked(sequences: list[_Sequence]) -> _Sequence:
    return _Sequence(*map(torch.stack, zip(*sequences, strict=True)))


def _mean_square(outputs: Tensor, targets: Tensor) -> Tensor:
    """Where there is a target; NaN where there is none at all."""
    counted = ~targets.isnan()
    error = torch.where(counted, outputs - targets.nan_to_num(), 0.0)
    return error.square().sum() / counted.sum()
