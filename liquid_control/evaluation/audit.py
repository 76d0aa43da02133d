"""`liquid-control audit BAG`: was every decision of a run made as it is recorded?

Every decision is made again from its recorded frame, elapsed time and state before, by the code
that drove, and compared with the record; docs/audit.md says what is checked and what is found.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.table import Table

from liquid_control.data.bag import BagReader
from liquid_control.errors import InputError
from liquid_control.evaluation.audit_checks import CHECKS, TOLERANCES, Findings, check
from liquid_control.evaluation.audit_model import exported, find_policy, with_updates
from liquid_control.evaluation.audit_picture import draw
from liquid_control.evaluation.audit_recompute import recompute_record
from liquid_control.evaluation.audit_record import Record, read_record
from liquid_control.evaluation.output import beside, console
from liquid_control.files import check_folder, replace_file
from liquid_control.policy.fingerprint import build_facts

__all__ = ["Audit", "audit", "audit_bag"]

# A changed weight makes every decision differ; nobody reads more of them than this.
MOST = 1000


@dataclass(frozen=True)
class Audit:
    """An audit's result.

    Args:
        record: what was audited.
        findings: what was found.
        model: folder of the model that it was recomputed with.
        remarks: one sentence for each thing in which model or bag are not as they should be.
        build: by name, (of the run, here) where software or machine differ.
        idle: frames that no decision was made on.
        seconds: that the audit took.
    """

    record: Record
    findings: Findings
    model: Path
    remarks: list[str]
    build: dict[str, tuple[str, str]]
    idle: int
    seconds: float

    @property
    def ok(self) -> bool:
        return not (self.findings.differences or self.remarks)

    @property
    def sentence(self) -> str:
        """The verdict in plain words."""
        found, count = self.findings, len(self.record.decisions)
        made, first = count - len(found.unseen), found.first
        if first:
            what = "; ".join(f"{each.check}: {each.text}" for each in first)
            return (
                f"{len(found.places)} of {count} decisions differ, first number "
                f"{first[0].number:g} at {first[0].seconds:.3f} s ({what}). Likely cause: "
                f"{found.cause}."
            )
        if self.remarks:
            return self.remarks[0]
        unseen = f"; the recorder missed the frames of the other {count - made}"
        equal = not any(found.unequal[name] for name in TOLERANCES)
        return (
            f"{made} of {count} decisions were recomputed and are equal "
            f"{'to the bit' if equal else 'within the tolerance'}{unseen if made < count else ''}."
        )

    def to_dict(self) -> dict:
        """What `audit.json` holds."""
        found = self.findings
        return {
            "ok": self.ok,
            "verdict": self.sentence,
            "bag": str(self.record.bag),
            "node": self.record.node,
            "model": str(self.model),
            "remarks": self.remarks,
            "exact": found.exact,
            "tolerances": None if found.exact else TOLERANCES,
            "build": {name: {"run": a, "here": b} for name, (a, b) in self.build.items()},
            "decisions": len(self.record.decisions),
            "recomputed": len(self.record.decisions) - len(found.unseen),
            "different": len(found.places),
            "without_frame": [self.record.decisions[place].number for place in found.unseen],
            "not_recorded_before": found.first_number,
            "missing_decisions": found.removed,
            "frames_without_decision": self.idle,
            "resets": dict(found.resets),
            "weight_updates": len(self.record.updates),
            "bag_closed": self.record.closed,
            "damaged_chunks": self.record.damaged,
            "checks": {
                name: {
                    "compared": found.compared[name],
                    "unequal": found.unequal[name],
                    "largest": found.largest.get(name),
                }
                for name in CHECKS
            },
            "cause": found.cause,
            "differences": [asdict(each) for each in found.differences[:MOST]],
            "seconds": round(self.seconds, 2),
        }


def audit(
    bag: Annotated[Path, tyro.conf.Positional],
    /,
    model: str | None = None,
    attention: bool = False,
    node: str = "",
    output: Path | None = None,
) -> int:
    """Make every recorded decision again and compare it with the record.

    Args:
        bag: a run folder (with a folder `bag` in it), or a bag.
        model: name or folder of a model; by default the one with the weights of the run is found.
        attention: recompute the saliency maps, too.
        node: full name of the policy node, where the bag holds several ("/car1/policy").
        output: folder for audit.json and audit.png; by default the run folder, or for a bag of
            another name `<bag>-audit` beside it.

    Returns:
        0 when all that is recorded fits, 1 when something differs.
    """
    bag = bag / "bag" if (bag / "bag").exists() else bag
    if output is None:
        output = bag.parent if bag.name == "bag" else beside(bag, "-audit")
    check_folder(output)
    result = audit_bag(bag, model, attention, node)
    try:
        output.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_finite(result.to_dict()), indent=1, allow_nan=False) + "\n"
        replace_file(output / "audit.json", text)
        replace_file(output / "audit.png", draw(result.record, result.findings))
    except OSError as error:
        raise InputError(
            f"The audit cannot be written into {output} ({error.strerror}); give another folder "
            "with --output."
        ) from error
    _print(result)
    print(f"{output / 'audit.json'}, {output / 'audit.png'}")
    return 0 if result.ok else 1


def audit_bag(
    bag: str | Path, model: str | None = None, attention: bool = False, node: str = ""
) -> Audit:
    """As `audit`, without printing or writing.

    Raises:
        InputError: no bag, no record in it, no model with its weights, or no frame at all.
    """
    began, threads = time.perf_counter(), torch.get_num_threads()
    # As the node does: sums of several threads are added in another order.
    torch.set_num_threads(1)
    try:
        with BagReader(bag, scan=True) as reader:
            record = read_record(reader, node)
            facts = record.facts_of(record.decisions[0])
            policy, folder, remarks = find_policy(facts, model)
            policies = with_updates(policy, record)
            export = exported(facts, folder, policy)
            again, idle = recompute_record(reader, record, policies, attention, export)
        here = build_facts() | (export.facts if export else {})
    finally:
        torch.set_num_threads(threads)
    if not again:
        raise InputError(
            f"The bag {bag} has none of the frames that its decisions were made on (topic "
            f"{facts.image}); record the camera with the run."
        )
    names = sorted(facts.build.keys() | here.keys())
    build = {
        name: (str(facts.build.get(name)), str(here.get(name)))
        for name in names
        if facts.build.get(name) != here.get(name)
    }
    if record.damaged:
        remarks.append(f"{record.damaged} chunks of the bag do not match their checksum.")
    remarks += record.damage
    findings = check(record, again, policies, exact=not build)
    seconds = time.perf_counter() - began
    return Audit(record, findings, folder, remarks, build, idle, seconds)


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity: null and a word."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    if isinstance(value, float) and value != value:
        return None
    return "infinite" if value in (float("inf"), float("-inf")) else value


def _print(result: Audit) -> None:
    found, screen = result.findings, console()
    table = Table(title=f"{result.record.bag}, {len(result.record.decisions)} decisions")
    for column, side in (("check", "left"), ("compared", "right"), ("different", "right")):
        table.add_column(column, justify=side)
    table.add_column("largest difference", justify="right")
    counted = Counter(each.check for each in found.differences)
    for name, text in CHECKS.items():
        if found.compared[name]:
            size = found.largest.get(name)
            shown = "" if size is None else "0" if size == 0 else f"{size:.3g}"
            table.add_row(text, str(found.compared[name]), str(counted[name]), shown)
    screen.print(table)
    resets = ", ".join(f"{count} by {name}" for name, count in sorted(found.resets.items()))
    said = [
        f"Model {result.model}. State fresh: {resets or 'never'}. "
        f"Frames not recorded: {len(found.unseen)} of {len(result.record.decisions)} decisions. "
        f"Frames not decided on: {result.idle}. Decisions not recorded: {found.first_number} "
        f"before the first, {found.removed} between. {result.seconds:.1f} s."
    ]
    if not result.record.closed:
        said.append("The bag was not closed: its recorder was killed, or it is cut off.")
    if result.build:
        other = ", ".join(f"{name} {a}, here {b}" for name, (a, b) in result.build.items())
        limits = ", ".join(f"{name} {limit:g}" for name, limit in TOLERANCES.items())
        said.append(f"Not the build or machine of the run ({other}): compared within {limits}.")
    said += [text for text in result.remarks if text != result.sentence]
    for text in [*said, result.sentence]:
        screen.print(text, highlight=False, soft_wrap=True, markup=False)
