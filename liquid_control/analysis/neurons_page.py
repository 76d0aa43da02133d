"""`neurons.html`: what circuits do over drives, as one file that fetches nothing."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from liquid_control.analysis.neurons_figures import (
    activity_chart,
    command_chart,
    component_chart,
    coupling_chart,
    ranking_chart,
)
from liquid_control.analysis.neurons_live import LIVE_SCRIPT, LIVE_STYLE, player, space
from liquid_control.analysis.neurons_measures import steering_of
from liquid_control.analysis.wiring_figure import WIRING_STYLE
from liquid_control.evaluation.figure_style import NEGATIVE, POSITIVE
from liquid_control.evaluation.page_parts import (
    Card,
    cards,
    chart,
    document,
    facts,
    grid,
    legend,
    section,
)
from liquid_control.evaluation.page_style import SCRIPT

if TYPE_CHECKING:
    from liquid_control.analysis.neurons import Study

__all__ = ["PUBLISHED", "render"]

# Lechner et al., Nature Machine Intelligence 2020: share of the first principal component [%].
PUBLISHED = {"NCP": 92, "CNN": 83, "CT-RNN": 60, "LSTM": 51}
SIDES = (("left turn", POSITIVE), ("right turn", NEGATIVE))


def render(results: dict, studies: list[Study]) -> str:
    """The page as text.

    Args:
        results: as in `results.json`.
        studies: what they were computed from, one for each model.
    """
    names = [each.name for each in studies]
    title = " and ".join(names) if len(names) < 3 else f"{len(names)} models"
    bags = results["bags"]
    what = studies[0].activities[0].name if len(bags) == 1 else f"{len(bags)} bags"
    lead = (
        f"What {'the circuits do' if len(names) > 1 else 'the circuit does'} over {what}: "
        f"{results['frames']:,} frames, {_duration(results['seconds'])}. The recorded frames "
        "are shown to the policy; it does not drive here."
    )
    parts = [
        f"<style>{WIRING_STYLE}{LIVE_STYLE}</style>",
        '<header>\n<p class="kicker">liquid_control · Neurons</p>\n'
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n</header>',
        cards([card for each in studies for card in _cards(each, len(studies) > 1)]),
    ]
    parts += [_live(each, f"m{place}") for place, each in enumerate(studies)]
    keys = [f"m{place}" for place in range(len(studies))]
    states = [_space(each) for each in studies]
    parts.append(grid(chart(component_chart({x.name: x.components for x in studies})), *states))
    for each, key in zip(studies, keys, strict=True):
        parts += _charts(each, key, len(studies) > 1)
    published = ", ".join(f"{name} {share} %" for name, share in PUBLISHED.items())
    told = {
        "Bags": ", ".join(bags),
        "First component": "largest eigenvalue of the covariance of the hidden state over the sum "
        "of all, from 1 s after a fresh state on",
        "Published shares": f"{published} (Lechner et al. 2020, other drives and roads)",
        "Cut synapse": "weight 0 through the whole drive, state carried on, frames as recorded",
        **{f"Network of {each.name}": each.network for each in studies},
    }
    parts.append(facts("How it was measured", told))
    return document(f"Neurons of {title}", parts, results["written"], SCRIPT + LIVE_SCRIPT)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"


def _cards(study: Study, several: bool) -> list[Card]:
    of = f"{study.name}: " if several else ""
    found = study.components
    first = f"{100 * found.shares[0]:.0f}"
    units = f"of {len(found.shares)} hold 95 %"
    cards = [
        Card(f"{of}first component", first, "%", "of hidden-state variance"),
        Card(f"{of}components", str(found.needed), "", units),
    ]
    if study.coupling is not None:
        straight = study.coupling.straight * 1e3
        turns = np.nanmean(np.stack((study.coupling.left, study.coupling.right)), 0) * 1e3
        cards.append(
            Card(
                f"{of}time constants",
                f"{np.median(straight):.0f}",
                "ms",
                f"median neuron, straight; {np.median(turns):.0f} ms in turns",
            )
        )
    if study.influence is not None:
        count = len(study.influence.synapses)
        strongest = study.influence.synapses[study.influence.order[0]]
        share = f"{100 * study.influence.size[strongest.place, 0]:.0f}"
        note = strongest.text.replace(" to ", " → ")
        cards.append(Card(f"{of}strongest synapse", share, "% of full", note))
        some = f"of {count} make 90 % of the changes"
        cards.append(Card(f"{of}synapses that matter", str(study.influence.most), "", some))
    return cards


def _live(study: Study, key: str) -> str:
    markup = player(study.activities[0], study.policy, key)
    if not markup:
        return ""
    wired = study.policy.wiring is not None
    what = "wiring" if wired else "hidden units"
    title = f"The {what} of {study.name}, {study.activities[0].name}"
    keys = [(POSITIVE, "positive state"), (NEGATIVE, "negative state")]
    note = "Press play or drag: the state of each unit, from −1 to 1 of its largest over the drive."
    if wired:
        keys = [(POSITIVE, "excitatory, positive"), (NEGATIVE, "inhibitory, negative")]
        note = (
            "Press play or drag. Neurons: state; synapses: polarity, thick where they conduct most "
            "of those that leave the same layer. Below the frame the command, and a mark where the "
            "recording has its own."
        )
    return section(title, markup, note, legend(keys))


def _space(study: Study) -> str:
    markup = space(study.activities, study.policy, study.components, (POSITIVE, NEGATIVE))
    output = study.policy.spec.names[steering_of(study.policy)].replace("_", " ")
    note = f"One dot a frame along the first three components; colour: {output}. Drag to turn."
    keys = [(color, side) for side, color in SIDES]
    return section(f"Path of the hidden state, {study.name}", markup, note, legend(keys))


def _charts(study: Study, key: str, several: bool) -> list[str]:
    policy, first = study.policy, study.activities[0]
    output = policy.spec.outputs[steering_of(policy)]
    head = f'<h2 style="margin: 34px 0 0">{escape(study.name)}</h2>' if several else ""
    found = [
        head,
        chart(activity_chart(first, policy, key)),
        chart(command_chart(first, policy, key)),
    ]
    if study.coupling is not None:
        name = output.name.replace("_", " ")
        found.append(chart(coupling_chart(study.coupling, policy, name, output.unit, key)))
    if study.influence is not None:
        found.append(chart(ranking_chart(study.influence, key)))
    if study.missing:
        items = "\n".join(f"<li>{escape(sentence)}</li>" for sentence in study.missing)
        found.append(section("What this network does not have", f"<ul>\n{items}\n</ul>"))
    return found
