"""One decision taken apart: what it was, what it hung on, what changed before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from liquid_control.analysis.ablation import Synapse, cut_outputs, synapses_of
from liquid_control.analysis.neurons_activity import Activity, watch
from liquid_control.analysis.neurons_currents import Part, command_parts, synapse_currents
from liquid_control.analysis.neurons_frames import record_of
from liquid_control.analysis.neurons_measures import hidden
from liquid_control.attention.compare import ssim
from liquid_control.data.bag import BagReader
from liquid_control.errors import InputError
from liquid_control.evaluation.audit_checks import check
from liquid_control.evaluation.audit_model import with_updates
from liquid_control.evaluation.audit_recompute import recompute_record
from liquid_control.evaluation.audit_record import Record, Recorded
from liquid_control.policy import Decision, Driver, Policy
from liquid_control.policy.fingerprint import build_facts, weights_hash

__all__ = ["Cut", "Explanation", "Moment", "take_apart"]

TOP = 5
# What is shown beside the decision.
AFTER_S, EARLIER_S = 2.0, 1.0
# A frame further from the time asked for is not what was meant.
NEAR_S = 0.25
NUMBERS = ("frame", "command", "state", "time constants")


@dataclass(frozen=True)
class Cut:
    """What a decision would have been without synapses, clipped, (outputs,) physical units.

    Args:
        synapses: that were cut.
        since: cut from `Explanation.since_s` before the decision on, the state carried on from the
            intact one then.
        once: cut while this one frame was decided on, from the intact state before it.
        effect: change of the command, not clipped, as a share of half its range (root mean square
            over outputs), for `since`.
    """

    synapses: tuple[Synapse, ...]
    since: np.ndarray
    once: np.ndarray
    effect: float


@dataclass(frozen=True)
class Moment:
    """A decision with what the policy saw."""

    row: int
    seconds: float
    frame: np.ndarray
    attention: np.ndarray
    decision: Decision
    hidden_before: np.ndarray
    hidden: np.ndarray


@dataclass(frozen=True)
class Explanation:
    """All that a page tells about one decision.

    Args:
        policy: that decided, or was asked here.
        activity: around the decision, from the first frame of the bag on.
        moment, earlier: the decision, and the one a second before it (or the first since the state
            was fresh); None where there is none before it.
        label: of the human or expert (outputs,), NaN without.
        cuts: the synapses that mattered most, one each; then all of them at once. Empty for a
            network without a wiring.
        since_s: how long before the decision `Cut.since` begins [s].
        currents: (T, synapses) over the activity, None without a wiring.
        parts: of the command before it was clipped, since the same moment as `Cut.since`.
        alike: SSIM of the attention maps of now and earlier, NaN without an earlier one.
        recorded: one sentence on how it compares with what the run recorded.
        agrees: True where it was recorded and is equal, False where it differs, None otherwise.
    """

    policy: Policy
    activity: Activity
    moment: Moment
    earlier: Moment | None
    label: np.ndarray
    cuts: list[Cut]
    since_s: float
    currents: np.ndarray | None
    parts: list[Part]
    alike: float
    recorded: str
    agrees: bool | None


def take_apart(policy: Policy, bag: Path, at: float, since: float = 1.0) -> Explanation:
    """Explain the decision on the frame that is nearest to a time.

    Args:
        policy: that decided, or is asked.
        bag: any bag with frames.
        at: time since the first frame that the policy saw [s].
        since: how long before it synapses are cut [s].

    Raises:
        InputError: no frame is near the time, or see `neurons_activity.watch`.
    """
    if at < 0:
        raise InputError(
            f"--at is a time of 0 s or more since the first frame that the policy saw, got {at:g} "
            "s; give another one."
        )
    before = max(EARLIER_S, since) + 0.5
    activity = watch(policy, bag, around=(at - before, at + 0.5, at + AFTER_S))
    row = int(np.argmin(np.abs(activity.seconds - at)))
    if abs(activity.seconds[row] - at) > NEAR_S:
        # What lies far behind a gap was not read: only of the frames before it all is known.
        last = activity.seconds[activity.seconds <= at].max()
        raise InputError(
            f"The bag {bag} has no frame that the policy saw within {NEAR_S} s of {at:g} s, the "
            f"last one before is at {last:.2f} s; give another --at."
        )
    with BagReader(bag) as reader:
        record = record_of(reader)
        decision = _recorded(record, int(activity.stamps[row]), policy)
        if decision is not None:
            activity = _as_recorded(activity, row, decision)
        moment = _moment(policy, activity, row)
        recorded, agrees = _compare(reader, record, decision, policy)
    start = _start(activity, row, since)
    first = _start(activity, row, EARLIER_S)
    earlier = _moment(policy, activity, first) if first < row else None
    states = torch.from_numpy(hidden(activity, policy))
    features = torch.from_numpy(activity.features)
    return Explanation(
        policy=policy,
        activity=activity,
        moment=moment,
        earlier=earlier,
        label=activity.labels[row],
        cuts=_cuts(policy, activity, start, row),
        since_s=float(activity.seconds[row] - activity.seconds[start]),
        currents=synapse_currents(policy.circuit, features, states),
        parts=command_parts(
            policy,
            activity.features[start : row + 1],
            activity.elapsed[start : row + 1],
            activity.before[start],
        ),
        alike=ssim(moment.attention, earlier.attention) if earlier else float("nan"),
        recorded=recorded,
        agrees=agrees,
    )


def _recorded(record: Record | None, stamp: int, policy: Policy) -> Recorded | None:
    """What the run recorded of this frame, where this policy made it."""
    if record is None:
        return None
    found = [each for each in record.decisions if each.stamp == stamp and each.fits(policy)]
    if not found or record.facts_of(found[-1]).weights != weights_hash(policy):
        return None
    return found[-1]


def _as_recorded(activity: Activity, row: int, decision: Recorded) -> Activity:
    """The same activity with the state before one frame as it was recorded, to the bit."""
    before = activity.before.copy()
    before[row] = decision.state.astype(np.float32)
    return replace(activity, before=before)


def _moment(policy: Policy, activity: Activity, row: int) -> Moment:
    """Decide on one frame again, alone, as a node does."""
    driver = Driver(policy)
    if not activity.fresh[row] or activity.before[row].any():
        driver.restore(activity.before[row])
    decision = driver.step(activity.frames[row], float(activity.elapsed[row]))
    sizes = policy.circuit.state_sizes
    return Moment(
        row=row,
        seconds=float(activity.seconds[row]),
        frame=policy.camera.apply(activity.frames[row]),
        attention=driver.attention(),
        decision=decision,
        hidden_before=decision.state_before[: sizes[0]] if sizes else np.zeros(0, np.float32),
        hidden=decision.state[: sizes[0]] if sizes else driver.features,
    )


def _compare(
    reader: BagReader, record: Record | None, decision: Recorded | None, policy: Policy
) -> tuple[str, bool | None]:
    """The recorded decision against the same one made again, by the code of the audit."""
    if record is None:
        return "The bag holds no decision of a policy: this one was made here.", None
    if decision is None:
        return "The run was decided by another model: nothing recorded to compare with.", None
    place = next(i for i, each in enumerate(record.decisions) if each is decision)
    some = replace(record, decisions=record.decisions[max(place - 1, 0) : place + 1])
    policies = with_updates(policy, some)
    again, _ = recompute_record(reader, some, policies)
    here, build = build_facts(), record.facts_of(decision).build
    found = check(some, again, policies, exact=build == here)
    last = len(some.decisions) - 1
    different = [each for each in found.differences if each.place == last and each.check in NUMBERS]
    if different:
        told = "; ".join(f"{each.check}: {each.text}" for each in different)
        return f"Made again it differs from the record ({told}).", False
    equal = build == here or not any(found.unequal[name] for name in NUMBERS)
    how = "to the bit" if equal else "within the tolerance of another machine or build"
    return (
        f"Made again from the recorded frame and state, command, neurons and time constants are "
        f"equal {how} to decision {decision.number:.0f} of the run."
    ), True


def _start(activity: Activity, row: int, back_s: float) -> int:
    """The first row within `back_s` before a row whose state was carried on to it."""
    start = next(a for a, b in activity.stretches() if a <= row < b)
    near = int(np.searchsorted(activity.seconds, activity.seconds[row] - back_s - 1e-3))
    return max(start, near)


def _cuts(policy: Policy, activity: Activity, start: int, row: int) -> list[Cut]:
    synapses = synapses_of(policy.circuit)
    if not synapses:
        return []
    every: list[tuple[int, ...]] = [(), *((each.place,) for each in synapses)]
    half = (policy.spec.high - policy.spec.low) / 2

    def effects(outputs: np.ndarray) -> np.ndarray:
        return np.sqrt((((outputs - outputs[:1]) / half) ** 2).mean(1))

    since = _without(policy, activity, start, row, every)
    once = _without(policy, activity, row, row, every)
    size = effects(since)
    top = (np.argsort(-size[1:], kind="stable")[:TOP] + 1).tolist()
    together = [(), tuple(every[place][0] for place in top)]
    both = [_without(policy, activity, first, row, together) for first in (start, row)]
    clip = policy.spec.clip
    cuts = [
        Cut((synapses[place - 1],), clip(since[place]), clip(once[place]), float(size[place]))
        for place in top
    ]
    five = tuple(synapses[place - 1] for place in top)
    last = Cut(five, clip(both[0][1]), clip(both[1][1]), float(effects(both[0])[1]))
    return [*cuts, last]


def _without(
    policy: Policy, activity: Activity, start: int, row: int, cuts: list[tuple[int, ...]]
) -> np.ndarray:
    """Commands on one frame without synapses since another, (cuts, outputs), not clipped."""
    state = torch.from_numpy(activity.before[start])
    sizes = policy.circuit.state_sizes
    outputs = cut_outputs(
        policy.circuit,
        torch.from_numpy(activity.features[start : row + 1]),
        torch.from_numpy(activity.elapsed[start : row + 1]) / policy.tick,
        cuts,
        state if len(sizes) == 1 else state.split(sizes),
    )
    return (outputs[:, -1] * policy.scale).numpy()
