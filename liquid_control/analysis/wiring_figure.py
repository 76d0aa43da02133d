"""The wiring as a picture that can move: where each neuron lies, and an SVG that shows activity.

`wiring_layout` gives places and paths as JSON, `wiring_svg` draws one moment of them, and
`WIRING_SCRIPT` (JavaScript, no library) paints another moment into a drawn SVG, so that a page
plays a drive or follows a running robot.
"""

from __future__ import annotations

import math
from html import escape
from typing import Any

import numpy as np
from torch import nn

from liquid_control.circuits import LTC
from liquid_control.evaluation.figure_style import LAYER_COLORS, NEGATIVE, POSITIVE

__all__ = ["WIRING_SCRIPT", "WIRING_STYLE", "wiring_layout", "wiring_svg"]

WIDTH, HEIGHT = 1000, 600
TOP, FOOT, LEFT, RIGHT = 52, 18, 34, 60
LAYERS = ("sensory", "inter", "command", "motor")
# Of the way from the sensory to the motor neurons: most synapses lie in the first stretch.
COLUMNS = {"sensory": 0.0, "inter": 0.42, "command": 0.76, "motor": 1.0}
LARGEST, SMALLEST = 14.0, 3.0

WIRING_STYLE = f"""
.wiring path {{ fill: none; stroke-linecap: round; transition: opacity .08s linear; }}
.wiring .up {{ stroke: {POSITIVE}; }}
.wiring .down {{ stroke: {NEGATIVE}; }}
.wiring .top {{ stroke-width: 4.5; opacity: 1; }}
.wiring circle.face {{ fill: var(--paper, #fff); stroke-width: 1.6; }}
.wiring circle.state {{ pointer-events: none; }}
.wiring text {{
  font: 11px var(--sans, sans-serif); fill: var(--ink, #111); text-anchor: middle;
  pointer-events: none;
}}
.wiring text.layer {{ font-size: 13px; fill: var(--muted, #666); }}
.wiring .badge circle {{ fill: var(--ink, #111); }}
.wiring .badge text {{ fill: var(--paper, #fff); font-weight: 650; }}
"""

# paintWiring(svg, states, currents): a number for each neuron of the layout, sensory ones first,
# and for each synapse (or null). Full colour and width are at 1: divide by the largest shown.
WIRING_SCRIPT = f"""
function paintWiring(svg, states, currents) {{
  svg.querySelectorAll("circle.state").forEach(circle => {{
    const state = states[+circle.dataset.neuron] || 0;
    circle.setAttribute("fill", state > 0 ? "{POSITIVE}" : "{NEGATIVE}");
    circle.setAttribute("fill-opacity", Math.min(1, Math.abs(state)).toFixed(3));
  }});
  if (currents) svg.querySelectorAll("path[data-synapse]").forEach(path => {{
    const size = Math.min(1, Math.abs(currents[+path.dataset.synapse] || 0));
    path.setAttribute("stroke-width", (0.5 + 5 * size).toFixed(2));
    path.setAttribute("opacity", (0.07 + 0.88 * Math.sqrt(size)).toFixed(3));
  }});
}}
"""


def wiring_layout(circuit: nn.Module) -> dict[str, Any]:
    """Places of neurons and paths of synapses, JSON-ready.

    Args:
        circuit: one of `liquid_control.circuits`, or the `FeedForward` of the baseline. One without
            a wiring gets its units in a grid and no synapses.

    Returns:
        `view`, the [width, height] that places are in; `neurons`, each with name, layer, x, y,
        radius and `state`, the place of it in the circuit's state (null for sensory neurons,
        which hold the features); and `synapses`, each with source and target (places in
        `neurons`), polarity (1 pushes the target's state up, -1 down: the sign of the trained
        reversal potential) and `path` (the `d` of an SVG path). Those of an LTC also have weight,
        slope, midpoint and reversal, with which a page computes w s(slope (x - midpoint))
        (reversal - x') from two states. Their order is that of `analysis.ablation.synapses_of`:
        by source, then by target.
    """
    wiring = getattr(circuit, "wiring", None)
    if wiring is None:
        return _grid(sum(circuit.state_sizes[:1]))
    names = [f"sensory_{index}" for index in range(wiring.inputs)] + list(wiring.names)
    counts = [wiring.inputs, wiring.inter, wiring.command, wiring.motor]
    neurons = []
    for layer, count in zip(LAYERS, counts, strict=True):
        span = (HEIGHT - TOP - FOOT) / max(count, 1)
        radius = float(np.clip(0.36 * span, SMALLEST, LARGEST))
        # A few neurons would lie far apart; they are drawn closer together, about the middle.
        step = min(span, 76.0)
        middle = TOP + (HEIGHT - TOP - FOOT) / 2
        for row in range(count):
            place = len(neurons)
            neurons.append(
                {
                    "name": names[place],
                    "layer": layer,
                    "x": round(LEFT + COLUMNS[layer] * (WIDTH - LEFT - RIGHT), 1),
                    "y": round(middle + (row - (count - 1) / 2) * step, 1),
                    "radius": round(radius, 1),
                    "state": None if layer == "sensory" else place - wiring.inputs,
                }
            )
    polarity = np.concatenate((wiring.sensory, wiring.adjacency))
    signs, told = _trained(circuit, polarity[np.nonzero(polarity)])
    synapses = []
    for place, (source, target) in enumerate(np.argwhere(polarity)):
        ends = neurons[source], neurons[wiring.inputs + target]
        synapses.append(
            {
                "source": int(source),
                "target": int(wiring.inputs + target),
                "polarity": int(signs[place]),
                "path": _path(*ends),
                **{name: round(float(values[place]), 5) for name, values in told.items()},
            }
        )
    return {"view": [WIDTH, HEIGHT], "neurons": neurons, "synapses": synapses}


def wiring_svg(
    layout: dict[str, Any],
    states: np.ndarray | None = None,
    currents: np.ndarray | None = None,
    *,
    features: np.ndarray | None = None,
    marked: tuple[int, ...] = (),
    name: str = "wiring",
    description: str = "Wiring of the circuit with its present activity",
) -> str:
    """One moment as an inline `<svg>` for a page that holds `WIRING_STYLE`.

    Args:
        layout: of `wiring_layout`.
        states: (units,) in -1 to 1, full colour at 1; without, neurons stay empty.
        currents: (synapses,) in -1 to 1, full width at 1; without, all synapses are faint.
        features: (sensory neurons,) in 0 to 1.
        marked: places of synapses to point out, drawn on top with the numbers 1, 2, ...
        name: id of the element.
        description: for readers who cannot see it.
    """
    size = np.zeros(len(layout["synapses"])) if currents is None else np.abs(currents)
    size = np.clip(np.nan_to_num(size), 0, 1)
    order = sorted(range(len(size)), key=lambda place: (place in marked, size[place]))
    paths = [_drawn(layout, place, size[place], place in marked) for place in order]
    neurons = layout["neurons"]
    faces = [_neuron(place, each, states, features) for place, each in enumerate(neurons)]
    badges = [
        _badge(layout["synapses"][place], neurons, rank) for rank, place in enumerate(marked, 1)
    ]
    titles = _titles(neurons)
    width, height = layout["view"]
    label = escape(description, quote=True)
    return (
        f'<svg id="{name}" class="wiring" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{label}">\n' + "\n".join((*titles, *paths, *faces, *badges)) + "\n</svg>"
    )


def _trained(circuit: nn.Module, drawn: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Polarity (synapses,) as trained, and the synapses' parameters where they are currents."""
    if not isinstance(circuit, LTC):
        return drawn, {}
    parts = (circuit.sensory, circuit.recurrent)
    told = {
        name: np.concatenate([getattr(part, name).detach().cpu().numpy() for part in parts])
        for name in ("weight", "slope", "midpoint", "reversal")
    }
    return np.where(told["reversal"] < 0, -1, 1), told


def _grid(units: int) -> dict[str, Any]:
    if not units:
        return {"view": [WIDTH, 1], "neurons": [], "synapses": []}
    columns = min(units, 16)
    step = (WIDTH - LEFT - RIGHT) / 16
    neurons = [
        {
            "name": f"unit_{unit}",
            "layer": "hidden",
            "x": round(LEFT + (unit % columns + 0.5) * step, 1),
            "y": round(TOP + (unit // columns + 0.5) * step, 1),
            "radius": LARGEST,
            "state": unit,
        }
        for unit in range(units)
    ]
    height = TOP + math.ceil(units / columns) * step + FOOT
    return {"view": [WIDTH, round(height)], "neurons": neurons, "synapses": []}


def _path(source: dict, target: dict) -> str:
    """A smooth line to the next layer; a bow beside the column within a layer, or backwards."""
    a, b, c, d = source["x"], source["y"], target["x"], target["y"]
    if source is target:
        r = source["radius"]
        return f"M{a + 0.7 * r:.1f} {b - 0.7 * r:.1f}C{a + 4 * r:.1f} {b - 2.4 * r:.1f} " + (
            f"{a + 4 * r:.1f} {b + 2.4 * r:.1f} {a + 0.7 * r:.1f} {b + 0.7 * r:.1f}"
        )
    if c > a:
        bend = 0.45 * (c - a)
        return f"M{a} {b}C{a + bend:.1f} {b} {c - bend:.1f} {d} {c} {d}"
    bow = 26 + 0.32 * abs(d - b)
    # Downwards left, upwards right of the column, so that a pair of synapses can be told apart.
    side = bow if d < b else -bow
    return f"M{a} {b}C{a + side:.1f} {b} {c + side:.1f} {d} {c} {d}"


def _drawn(layout: dict, place: int, size: float, marked: bool) -> str:
    synapse, neurons = layout["synapses"][place], layout["neurons"]
    ends = (neurons[synapse["source"]]["name"], neurons[synapse["target"]]["name"])
    kind = "up" if synapse["polarity"] > 0 else "down"
    width, opacity = 0.5 + 5 * size, 0.07 + 0.88 * math.sqrt(size)
    title = " to ".join(end.replace("_", " ") for end in ends)
    return (
        f'<path class="{kind}{" top" if marked else ""}" data-synapse="{place}" '
        f'd="{synapse["path"]}" stroke-width="{width:.2f}" opacity="{opacity:.3f}">'
        f"<title>{title}</title></path>"
    )


def _neuron(
    place: int, neuron: dict, states: np.ndarray | None, features: np.ndarray | None
) -> str:
    index = neuron["state"]
    values = features if index is None else states
    value = (
        0.0 if values is None else float(np.nan_to_num(values[place if index is None else index]))
    )
    where = f'cx="{neuron["x"]}" cy="{neuron["y"]}"'
    color = LAYER_COLORS.get(neuron["layer"], "var(--muted, #888)")
    name = neuron["name"].replace("_", " ")
    number = neuron["name"].rpartition("_")[2]
    text = (
        f'<text x="{neuron["x"]}" y="{neuron["y"] + 4}">{number}</text>'
        if neuron["radius"] >= 9
        else ""
    )
    return (
        f'<g><title>{name}</title><circle class="face" {where} r="{neuron["radius"]}" '
        f'stroke="{color}"/><circle class="state" data-neuron="{place}" {where} '
        f'r="{neuron["radius"] - 0.8:.1f}" fill="{POSITIVE if value > 0 else NEGATIVE}" '
        f'fill-opacity="{min(1.0, abs(value)):.3f}"/>{text}</g>'
    )


def _badge(synapse: dict, neurons: list[dict], rank: int) -> str:
    """A number beside the marked synapse's target, where its line comes in."""
    source, target = neurons[synapse["source"]], neurons[synapse["target"]]
    share = 0.78 if target["x"] > source["x"] else 0.5
    x, y = _along(synapse["path"], share)
    return (
        f'<g class="badge"><circle cx="{x:.1f}" cy="{y:.1f}" r="9"/>'
        f'<text x="{x:.1f}" y="{y + 4:.1f}">{rank}</text></g>'
    )


def _along(path: str, share: float) -> tuple[float, float]:
    """A point of a path "Mx yCx y x y x y", a cubic Bezier curve."""
    numbers = [float(part) for part in path[1:].replace("C", " ").split()]
    points = np.array(numbers).reshape(4, 2)
    rest = 1 - share
    weights = (rest**3, 3 * rest**2 * share, 3 * rest * share**2, share**3)
    x, y = np.array(weights) @ points
    return float(x), float(y)


def _titles(neurons: list[dict]) -> list[str]:
    layers = dict.fromkeys(each["layer"] for each in neurons)
    found = []
    for layer in layers:
        members = [each for each in neurons if each["layer"] == layer]
        x = float(np.mean([each["x"] for each in members]))
        # The outer columns are wider than the space beside them.
        x = float(np.clip(x, 40, WIDTH - 50))
        found.append(f'<text class="layer" x="{x:.0f}" y="22">{len(members)} {layer}</text>')
    return found
