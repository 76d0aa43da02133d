"""`liquid-control neurons INPUT --model M`: what a circuit does over drives, and what matters.

Definitions and sources stand in docs/neurons.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from rich.table import Table

import liquid_control
from liquid_control import models
from liquid_control.analysis.ablation import synapses_of
from liquid_control.analysis.neurons_activity import Activity, watch, why_no_time_constants
from liquid_control.analysis.neurons_frames import bag_of, record_of
from liquid_control.analysis.neurons_measures import (
    SETTLED_S,
    Components,
    Coupling,
    Influence,
    components,
    coupling,
    hidden,
    influence,
    steering_of,
)
from liquid_control.analysis.neurons_page import render
from liquid_control.data.bag import BagReader
from liquid_control.data.drive import find_bags
from liquid_control.errors import InputError
from liquid_control.evaluation.audit_model import find_policy
from liquid_control.evaluation.output import beside, console
from liquid_control.files import check_folder, replace_file
from liquid_control.policy import Policy
from liquid_control.policy.fingerprint import weights_hash

__all__ = ["Study", "model_of", "neurons", "study"]


@dataclass(frozen=True)
class Study:
    """What was found of one model; None where the network has no such thing.

    Args:
        name: of the model.
        policy: the model.
        activities: one for each bag.
        components: of the hidden state.
        coupling: of time constants with the command.
        influence: of each synapse.
        missing: one sentence for each thing that this network does not have.
    """

    name: str
    policy: Policy
    activities: list[Activity]
    components: Components
    coupling: Coupling | None
    influence: Influence | None
    missing: list[str]

    @property
    def network(self) -> str:
        """ "LTC, 19 neurons, 253 synapses"."""
        circuit, wiring = self.policy.circuit, self.policy.wiring
        memory = ", mixed memory" if getattr(circuit, "memory", None) is not None else ""
        if wiring is not None:
            kind = f"{type(circuit).__name__}, {wiring.units} neurons, {wiring.synapses} synapses"
        elif circuit.state_sizes:
            kind = f"{type(circuit).__name__}, {circuit.state_sizes[0]} units"
        else:
            kind = f"feed-forward, {circuit.inputs} units in its last hidden layer"
        return kind + memory

    def to_dict(self) -> dict:
        """What `results.json` holds of it."""
        policy, found = self.policy, self.components
        names = policy.state_names[: len(found.shares)]
        return {
            "network": self.network,
            "weights": weights_hash(policy),
            "parameters": sum(each.numel() for each in policy.circuit.parameters()),
            "components": {
                "of": f"{len(found.shares)} hidden units, {found.frames} frames",
                "first_share": float(found.shares[0]),
                "shares": _rounded(found.shares),
                "first_share_each_unit_scaled_to_variance_1": float(found.scaled_shares[0]),
                "needed_for_95_percent": found.needed,
                "participation_ratio": found.dimension,
            },
            "time_constants_s": _coupling(self.coupling, names),
            "influence": _influence(self.influence, policy),
            "missing": self.missing,
        }


def neurons(
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    model: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    output: Path | None = None,
) -> int:
    """Show what a model's circuit does over drives: activity, time constants, synapses.

    Args:
        inputs: bags, folders of bags, or run folders.
        model: name or folder of a model; again for each further one. By default, for a run, its
            own.
        output: folder for results.json and neurons.html; by default `neurons` in the run folder, or
            `<input>-neurons` beside the first input.

    Returns:
        0.
    """
    if not inputs:
        raise InputError(
            "Neurons need a bag, a folder of bags or a run folder, got none; give one, such as "
            "data/driving_v1/000290."
        )
    bags = [bag for path in inputs for bag in _bags(path)]
    if output is None:
        run = (inputs[0] / "bag").is_dir()
        output = inputs[0] / "neurons" if run else beside(inputs[0], "-neurons")
    check_folder(output)
    policies = [model_of(each, bags[0]) for each in (model or (None,))]
    studies = [
        study(policy, bags, name)
        for (policy, folder), name in zip(policies, _names(policies), strict=True)
    ]
    results = _results(studies, bags)
    try:
        output.mkdir(parents=True, exist_ok=True)
        text = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        page = render(results, studies)
        replace_file(output / "results.json", text)
        replace_file(output / "neurons.html", page)
    except OSError as error:
        raise InputError(
            f"The results cannot be written into {output} ({error.strerror}); give another folder "
            "with --output."
        ) from error
    _print(studies)
    print(f"{output / 'neurons.html'}, {output / 'results.json'}")
    return 0


def study(policy: Policy, bags: Sequence[Path], name: str) -> Study:
    """Everything of one model over bags.

    Raises:
        InputError: a bag without frames, or a model whose outputs are not those of the bags.
    """
    activities = [watch(policy, bag, pictures=place == 0) for place, bag in enumerate(bags)]
    rows = [hidden(each, policy)[each.settled(SETTLED_S)] for each in activities]
    if not sum(map(len, rows)):
        raise InputError(
            f"The longest stretch without a gap in {bags[0]} is shorter than {SETTLED_S:g} s; a "
            "circuit needs a longer drive to be told anything about."
        )
    return Study(
        name=name,
        policy=policy,
        activities=activities,
        components=components(rows),
        coupling=coupling(activities, policy),
        influence=influence(activities, policy),
        missing=_missing(policy),
    )


def model_of(model: str | None, bag: Path) -> tuple[Policy, Path]:
    """The named model, or the one that a run's bag says has decided.

    Raises:
        InputError: no model is named and the bag names none, or it cannot be loaded.
    """
    if model is not None:
        folder = models.find(model)
        return Policy.load(folder), folder
    with BagReader(bag) as reader:
        record = record_of(reader)
    if record is None:
        raise InputError(
            f"The bag {bag} says of no model that it decided; name one with --model "
            f"({', '.join(models.folders())}, or a folder)."
        )
    policy, folder, _ = find_policy(record.facts_of(record.decisions[0]))
    return policy, folder


def _bags(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    bag = bag_of(path)
    return [bag] if bag != path else find_bags(path)


def _names(policies: list[tuple[Policy, Path]]) -> list[str]:
    """The folders' names, with a number where two are alike."""
    names = [folder.resolve().name for _, folder in policies]
    return [
        name if names.count(name) == 1 else f"{name} ({place})"
        for place, name in enumerate(names, 1)
    ]


def _missing(policy: Policy) -> list[str]:
    """What a reader may look for in vain."""
    circuit, found = policy.circuit, []
    if sentence := why_no_time_constants(policy):
        found.append(sentence)
    if not circuit.state_sizes:
        found.append("Its last hidden layer stands in the place of a hidden state.")
    if not synapses_of(circuit):
        found.append(
            f"{type(circuit).__name__} has no wiring: its weight matrices are dense, and no single "
            "weight was cut."
        )
    elif getattr(circuit, "memory", None) is not None:
        found.append("Cut are the synapses of the liquid cell; the LSTM beside it stays whole.")
    return found


def _results(studies: list[Study], bags: list[Path]) -> dict:
    first = studies[0]
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return {
        "bags": [str(bag) for bag in bags],
        "frames": sum(map(len, first.activities)),
        "seconds": float(sum(each.seconds[-1] for each in first.activities)),
        "turning_output": first.policy.spec.names[steering_of(first.policy)],
        "models": {each.name: each.to_dict() for each in studies},
        "threads": torch.get_num_threads(),
        "written": f"Written by liquid_control {liquid_control.__version__}, {now}.",
    }


def _coupling(found: Coupling | None, names: Sequence[str]) -> dict | None:
    if found is None:
        return None
    return {
        "straight_up_to": found.limits[0],
        "turn_from": found.limits[1],
        "neurons": {
            name: {
                "straight": _number(found.straight[row]),
                "left": _number(found.left[row]),
                "right": _number(found.right[row]),
                "correlation_with_size": _rounded(found.size[row]),
                "correlation_with_command": _rounded(found.side[row]),
            }
            for row, name in enumerate(names)
        },
    }


def _influence(found: Influence | None, policy: Policy) -> list[dict] | None:
    """Synapses, the most influential first."""
    if found is None:
        return None
    outputs = policy.spec.names
    return [
        {
            "synapse": found.synapses[place].text,
            "polarity": found.synapses[place].polarity,
            "share_of_full_command": float(found.size[place, 0]),
            "interval": _rounded(found.size[place, 1:]),
            "mean_change": dict(zip(outputs, _rounded(found.shift[place]), strict=True)),
            "largest_change": dict(zip(outputs, _rounded(found.largest[place]), strict=True)),
        }
        for place in found.order
    ]


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _rounded(values: np.ndarray) -> list[float | None]:
    return [_number(each) for each in values]


def _print(studies: list[Study]) -> None:
    screen = console()
    table = Table(title=f"{sum(map(len, studies[0].activities)):,} frames")
    for column in ("model", "network"):
        table.add_column(column)
    for column in ("first component", "95 % in", "time constants", "90 % of influence in"):
        table.add_column(column, justify="right")
    for each in studies:
        constants = "–"
        if each.coupling:
            low, high = np.min(each.coupling.straight), np.max(each.coupling.straight)
            constants = f"{low * 1e3:.0f} to {high * 1e3:.0f} ms"
        table.add_row(
            each.name,
            each.network,
            f"{100 * each.components.shares[0]:.0f} %",
            f"{each.components.needed} of {len(each.components.shares)}",
            constants,
            f"{each.influence.most} synapses" if each.influence else "–",
        )
    screen.print(table)
    for each in studies:
        if each.influence is not None:
            strongest = each.influence.synapses[each.influence.order[0]]
            share = 100 * each.influence.size[strongest.place, 0]
            text = (
                f"{each.name}: without the synapse {strongest.text} the command changes by "
                f"{share:.0f} % of full command (root mean square)."
            )
            screen.print(text, highlight=False, soft_wrap=True)
        for sentence in each.missing:
            screen.print(f"{each.name}: {sentence}", highlight=False, soft_wrap=True)
