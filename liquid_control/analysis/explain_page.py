"""The page about one decision: one file that fetches nothing."""

from __future__ import annotations

from dataclasses import replace
from html import escape

import cv2
import numpy as np

from liquid_control.analysis.ablation import synapses_of
from liquid_control.analysis.explain_decision import Explanation, Moment
from liquid_control.analysis.explain_figures import (
    around_chart,
    built_chart,
    number,
    state_chart,
    without_chart,
)
from liquid_control.analysis.neurons_activity import why_no_time_constants
from liquid_control.analysis.neurons_live import flow_shares
from liquid_control.analysis.neurons_measures import hidden, steering_of
from liquid_control.analysis.wiring_figure import WIRING_STYLE, wiring_layout, wiring_svg
from liquid_control.attention.overlay import overlay
from liquid_control.circuits import LTC
from liquid_control.command import Output
from liquid_control.evaluation.figure_style import NEGATIVE, POSITIVE
from liquid_control.evaluation.page_parts import (
    Card,
    cards,
    chart,
    data_uri,
    document,
    facts,
    grid,
    legend,
    section,
)

__all__ = ["render", "sentence"]

STYLE = """
.seen { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; margin-top: 14px; }
.seen figure { margin: 0; }
.seen img { display: block; width: 100%; border-radius: 6px; }
.seen figcaption { margin-top: 6px; font-size: 13px; color: var(--muted); }
.wiring { display: block; width: 100%; height: auto; margin-top: 10px; }
table.changes td, table.changes th { width: auto; padding-right: 18px; white-space: nowrap; }
table.changes .n { text-align: right; }
@media (max-width: 760px) { .seen { grid-template-columns: 1fr; } }
"""
CHANGES = 5


def sentence(told: Explanation, name: str) -> str:
    """The decision in one or two sentences."""
    output, column = _turning(told)
    label, command = float(told.label[column]), float(told.moment.decision.command[column])
    said = f"{_amount(command, output)}{_side(command, output)}"
    text = f"At {told.moment.seconds:.2f} s {name} asked for {_name(output)} {said}"
    if np.isfinite(label):
        text += f", the recording has {_amount(label, output)}"
    text += "."
    if told.cuts:
        # Of several outputs the one that the first synapse changes most.
        first, spec = told.cuts[0], told.policy.spec
        asked = told.moment.decision.command
        other = int(np.argmax(np.abs(first.since - asked) / (spec.high - spec.low)))
        without = _amount(float(first.since[other]), spec.outputs[other])
        what, instead = "it", ""
        if other != column:
            what = _name(spec.outputs[other])
            instead = f" instead of {_amount(float(asked[other]), spec.outputs[other])}"
        text += f" Without the synapse {first.synapses[0].text}, {what} would have been {without}"
        text += f"{instead}."
    return text


def render(told: Explanation, name: str, written: str) -> str:
    """The page as text.

    Args:
        told: the decision.
        name: of the model.
        written: the last line.
    """
    column = steering_of(told.policy)
    moment = told.moment
    title = f"{told.activity.name} at {moment.seconds:.2f} s"
    parts = [
        f"<style>{WIRING_STYLE}{STYLE}</style>",
        f'<header>\n<p class="kicker">liquid_control · One decision of {escape(name)}</p>\n'
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(sentence(told, name))}</p>\n</header>',
        cards(_cards(told)),
        _seen(told),
        chart(around_chart(told, column)),
        chart(without_chart(told)),
        _wiring(told),
        grid(_built(told, column), chart(state_chart(told))),
    ]
    others = [other for other in range(len(told.policy.spec)) if other != column]
    # Tables last: the last of an odd number is as wide as the page.
    parts.append(grid(*(_built(told, other) for other in others), *_changes(told)))
    parts += [_missing(told), facts("The decision", _facts(told, name))]
    return document(f"{title}, {name}", parts, written)


def _turning(told: Explanation) -> tuple[Output, int]:
    column = steering_of(told.policy)
    return told.policy.spec.outputs[column], column


def _cards(told: Explanation) -> list[Card]:
    found = []
    command = told.moment.decision.command
    for column, output in enumerate(told.policy.spec.outputs):
        unit = "" if output.unit == "1" else output.unit
        limit = "at its limit" if command[column] in (output.low, output.high) else ""
        note = _side(command[column], output).strip(" ,") or limit
        found.append(Card(f"{_name(output)} asked", number(command[column], output), unit, note))
        if np.isfinite(told.label[column]):
            value = number(told.label[column], output)
            found.append(Card("of the recording", value, unit, told.activity.label_topic))
        if told.earlier is not None:
            change = float(command[column] - told.earlier.decision.command[column])
            back = f"in the last {told.moment.seconds - told.earlier.seconds:.2f} s"
            if len(command) == 1:
                found.append(Card("change", number(change, output), unit, back))
            else:
                found[-1] = replace(found[-1], note=f"{number(change, output)} {back}")
    if told.agrees is not None:
        word, note = ("equal", "made again") if told.agrees else ("differs", "see below")
        found.append(Card("recorded decision", word, "", note, not told.agrees))
    return found


def _seen(told: Explanation) -> str:
    moment, earlier = told.moment, told.earlier
    figures = [
        _figure(moment.frame, "What the policy saw"),
        _figure(_overlaid(moment), "Attention: what its convolutions answered to the most"),
    ]
    if earlier is not None:
        back = f"{moment.seconds - earlier.seconds:.2f} s earlier"
        figures.append(_figure(earlier.frame, back))
        alike = f"{back}; the two maps have an SSIM of {told.alike:.2f}"
        figures.append(_figure(_overlaid(earlier), alike))
    note = "VisualBackProp: warm colours mark what the convolutions answered to the most."
    return section("The frame", f'<div class="seen">{"".join(figures)}</div>', note)


def _overlaid(moment: Moment) -> np.ndarray:
    return overlay(moment.frame, moment.attention)


def _figure(image: np.ndarray, caption: str) -> str:
    rows, columns = image.shape[:2]
    scale = max(1, round(640 / columns))
    large = cv2.resize(image, (columns * scale, rows * scale), interpolation=cv2.INTER_CUBIC)
    content = cv2.imencode(
        ".jpg", cv2.cvtColor(large, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88]
    )[1]
    source = data_uri("image/jpeg", content.tobytes())
    return (
        f'<figure><img src="{source}" alt="{escape(caption, quote=True)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _wiring(told: Explanation) -> str:
    layout = wiring_layout(told.policy.circuit)
    if not layout["neurons"]:
        return ""
    activity, row = told.activity, told.moment.row
    states = hidden(activity, told.policy)
    bound = float(np.abs(states).max()) or 1.0
    flow = None if told.currents is None else flow_shares(told.currents, layout)[row]
    features = activity.features[row] / (float(activity.features.max()) or 1.0)
    wired = told.policy.wiring is not None
    svg = wiring_svg(
        layout,
        told.moment.hidden / bound,
        flow,
        features=features if wired else None,
        marked=tuple(each.synapses[0].place for each in told.cuts if len(each.synapses) == 1),
    )
    keys = [(POSITIVE, "positive state"), (NEGATIVE, "negative state")]
    note = f"The state of each unit; full colour is ±{bound:.2g}."
    if wired:
        keys = [(POSITIVE, "excitatory, positive"), (NEGATIVE, "inhibitory, negative")]
        note = (
            "Thick where a synapse conducts most of those that leave the same layer; numbered are "
            f"those that mattered most. Full colour of a neuron is a state of ±{bound:.2g}."
        )
    title = "The wiring at this moment" if wired else "The hidden units at this moment"
    return section(title, svg, note, legend(keys))


def _built(told: Explanation, column: int) -> str:
    """The command as a sum, and below it the currents into the motor neuron at this moment."""
    built = chart(built_chart(told, column))
    wiring, circuit = told.policy.wiring, told.policy.circuit
    if told.currents is None or not isinstance(circuit, LTC):
        return built
    motor = wiring.names[wiring.units - wiring.motor + column]
    incoming = [each for each in synapses_of(circuit) if each.target == motor]
    flow = told.currents[told.moment.row]
    incoming.sort(key=lambda each: -abs(flow[each.place]))
    rows = "".join(
        f"<tr><td>{escape(each.source.replace('_', ' '))}</td>"
        f"<td>{'excitatory' if each.polarity > 0 else 'inhibitory'}</td>"
        f'<td class="n">{_minus(f"{flow[each.place]:+.3f}")}</td></tr>'
        for each in incoming
    )
    table = (
        f'<table class="changes"><tr><th>into {escape(motor.replace("_", " "))}</th><th></th>'
        f'<th class="n">current now</th></tr>{rows}</table>'
    )
    # Into the same frame, as it is the same question.
    return built.removesuffix("</section>") + table + "</section>"


def _changes(told: Explanation) -> list[str]:
    """What changed most since the moment before."""
    if told.earlier is None:
        note = "The state was fresh: nothing came before this frame."
        return [section("What changed before it", "", note)]
    moment, earlier, policy = told.moment, told.earlier, told.policy
    back = f"{moment.seconds - earlier.seconds:.2f} s"
    names = policy.state_names if policy.circuit.state_sizes else []
    units = [names[i] if names else f"unit_{i}" for i in range(len(moment.hidden))]
    tables = [_table("state", units, earlier.hidden, moment.hidden, back, "{:+.3f}")]
    constants = told.activity.constants
    if constants is not None:
        now = moment.decision.time_constants
        old = earlier.decision.time_constants
        tables.append(
            _table("time constant [ms]", units, 1e3 * old, 1e3 * now, back, "{:.1f}", ratio=True)
        )
    if told.currents is not None:
        texts = [each.text.replace(" to ", " → ") for each in synapses_of(policy.circuit)]
        flow = told.currents
        tables.append(
            _table("current", texts, flow[earlier.row], flow[moment.row], back, "{:+.3f}")
        )
    return [section(f"Changed most: {head}", body) for head, body in tables]


def _table(
    head: str,
    names: list[str],
    old: np.ndarray,
    new: np.ndarray,
    back: str,
    form: str,
    ratio: bool = False,
) -> tuple[str, str]:
    """Heading and rows of what changed most, by difference or by ratio."""
    size = np.abs(np.log(new / old)) if ratio else np.abs(new - old)
    top = np.argsort(-size, kind="stable")[:CHANGES]
    rows = [
        f"<tr><td>{escape(names[k].replace('_', ' '))}</td>"
        + "".join(f'<td class="n">{_minus(form.format(value[k]))}</td>' for value in (old, new))
        + "</tr>"
        for k in top
    ]
    return head, (
        f'<table class="changes"><tr><th></th><th class="n">{back} before</th>'
        f'<th class="n">now</th></tr>{"".join(rows)}</table>'
    )


def _missing(told: Explanation) -> str:
    circuit = told.policy.circuit
    found = []
    if not told.cuts:
        found.append(f"{type(circuit).__name__} has no wiring: no synapse was cut.")
    if why := why_no_time_constants(told.policy):
        found.append(why)
    if np.isnan(told.label).all():
        found.append("The bag holds no label of a human or expert for this frame.")
    if not told.parts:
        found.append("This network's outputs are no sum that could be shown.")
    items = "".join(f"<li>{escape(each)}</li>" for each in found)
    return section("What there is not", f"<ul>{items}</ul>") if found else ""


def _facts(told: Explanation, name: str) -> dict[str, str]:
    decision, activity = told.moment.decision, told.activity
    return {
        "Model": name,
        "Bag": str(activity.bag),
        "Stamp of the frame": f"{activity.stamps[told.moment.row] / 1e9:.9f} s",
        "Frame": f"{told.moment.row} since the first, hash {decision.frame_hash}",
        "Elapsed time": f"{1e3 * decision.elapsed:.2f} ms",
        "State": "fresh" if decision.reset else "carried on from the frame before",
        "Against the record": told.recorded,
    }


def _amount(value: float, output: Output) -> str:
    unit = "" if output.unit == "1" else f" {output.unit}"
    return number(value, output) + unit


def _side(value: float, output: Output) -> str:
    if output.name not in ("curvature", "steering", "yaw_rate") or not abs(value) > 0:
        return ""
    return ", to the left" if value > 0 else ", to the right"


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _name(output: Output) -> str:
    return output.name.replace("_", " ")
