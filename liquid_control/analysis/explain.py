"""`liquid-control explain BAG --at 12.3s`: why did it steer like that, at that moment?

One page about one decision; docs/neurons.md defines everything on it.
"""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.markup import escape
from rich.table import Table

import liquid_control
from liquid_control.analysis.explain_decision import Explanation, take_apart
from liquid_control.analysis.explain_page import render, sentence
from liquid_control.analysis.neurons import model_of
from liquid_control.analysis.neurons_frames import bag_of
from liquid_control.errors import InputError
from liquid_control.evaluation.output import beside, console
from liquid_control.files import check_folder, replace_file

__all__ = ["explain"]


def explain(
    bag: Annotated[Path, tyro.conf.Positional],
    /,
    at: str,
    model: str | None = None,
    since: float = 1.0,
    output: Path | None = None,
) -> int:
    """Take one decision apart: frame, attention, neurons, and the synapses that it hung on.

    Args:
        bag: a bag of any kind, or a run folder (with a folder `bag` in it).
        at: seconds since the first frame that the policy saw: "12.3s" or 12.3.
        model: name or folder of a model; by default, for a run, its own.
        since: how long before the decision synapses are cut [s].
        output: the page to write; by default `explain-12.30s.html` in the run folder, or
            `<bag>-explain-12.30s.html` beside the bag.

    Returns:
        0 when the decision was explained (also where it is not the recorded one, which is said).
    """
    seconds = _seconds(at)
    if not 0 <= since < math.inf:
        raise InputError(f"--since is a time of 0 s or more, got {since:g}; give one such as 1.")
    if output is not None:
        check_folder(output.parent)
    run, bag = bag, bag_of(bag)
    threads = torch.get_num_threads()
    # As the node does: sums of several threads are added in another order.
    torch.set_num_threads(1)
    try:
        policy, folder = model_of(model, bag)
        told = take_apart(policy, bag, seconds, since)
    finally:
        torch.set_num_threads(threads)
    if output is None:
        name = f"explain-{told.moment.seconds:.2f}s.html"
        inside = run != bag or bag.name == "bag"
        output = bag.parent / name if inside else beside(bag, f"-{name}")
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    written = f"Written by liquid_control {liquid_control.__version__}, {now}."
    name = folder.resolve().name
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        replace_file(output, render(told, name, written))
    except OSError as error:
        raise InputError(
            f"The page cannot be written to {output} ({error.strerror}); give another file with "
            "--output."
        ) from error
    _print(told, name)
    print(output)
    return 0


def _seconds(text: str) -> float:
    try:
        value = float(text.strip().removesuffix("s"))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"--at is a time in seconds since the first frame, such as 12.3s, got {text!r}."
        )
    return value


def _print(told: Explanation, name: str) -> None:
    screen = console()
    screen.print(sentence(told, name), highlight=False, soft_wrap=True)
    if told.cuts:
        table = Table(title="The synapses that mattered most, and the command without them")
        table.add_column("synapse")
        table.add_column("polarity")
        several = len(told.policy.spec) > 1
        for output in told.policy.spec.outputs:
            table.add_column(escape(f"{output.name} [{output.unit}]"), justify="right")
            if not several:
                table.add_column("cut for this frame only", justify="right")
        for cut in told.cuts:
            one = len(cut.synapses) == 1
            cells = [cut.synapses[0].text if one else f"all {len(cut.synapses)}"]
            sign = cut.synapses[0].polarity
            cells.append(("excitatory" if sign > 0 else "inhibitory") if one else "")
            cells += [f"{value:+.4f}" for value in cut.since]
            cells += [] if several else [f"{cut.once[0]:+.4f}"]
            table.add_row(*cells)
        screen.print(table)
    screen.print(told.recorded, highlight=False, soft_wrap=True)
