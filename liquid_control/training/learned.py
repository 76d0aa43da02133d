"""`liquid-control adapt MODEL --from-updates BAG`: keep what a policy learnt while it drove."""

from __future__ import annotations

import json
from pathlib import Path

from liquid_control.data.updates import LEARNT, SHIPPED, read_records
from liquid_control.errors import InputError
from liquid_control.files import replace_file
from liquid_control.policy import Policy
from liquid_control.policy.fingerprint import weights_hash
from liquid_control.policy.updated import updated

__all__ = ["save_learned"]


def save_learned(folder: Path, bag: Path, output: Path) -> int:
    """Save what the policy of `folder` had learnt at the end of `bag` as the model `output`.

    Raises:
        InputError: the bag was driven with another model, or nothing was learnt, or forgotten.
    """
    records, policy = read_records(bag), Policy.load(folder)
    first, last, shipped = records[0], records[-1], weights_hash(policy)
    if first.kind == SHIPPED and first.after != shipped:
        raise InputError(
            f"The drive {bag} began with the weights {first.after}, those of {folder} are "
            f"{shipped}; give the model that drove."
        )
    if last.kind != LEARNT:
        raise InputError(
            f"At the end of {bag} the policy had its shipped weights: nothing was learnt, or it "
            "was forgotten by ~/forget."
        )
    learnt, distance = sum(each.kind == LEARNT for each in records), last.figures["distance"]
    facts = {
        "adapted_from": folder.name,
        "weights": {"before": shipped, "after": last.after},
        "bags": [str(bag)],
        "updates": learnt,
        "distance": distance,
    }
    policy = updated(policy, last.weights, last.after)
    policy.save(output, {**policy.extra, "adaptation": facts})
    replace_file(output / "adapt.json", json.dumps(facts, indent=1) + "\n")
    print(
        f"{output}: what {folder.name} learnt in {learnt} updates, {distance:.0%} of its trust "
        "region away from where it began; measure it before you rely on it"
    )
    return 0
