"""The moving parts of a neurons page: the wiring playing a drive, the state's path in space.

Both hold their numbers as text in the page (a byte a number) and draw without a library.
"""

from __future__ import annotations

import base64
import json
from html import escape

import numpy as np
import torch

from liquid_control.analysis.neurons_activity import Activity
from liquid_control.analysis.neurons_currents import synapse_currents
from liquid_control.analysis.neurons_measures import Components, hidden, steering_of
from liquid_control.analysis.wiring_figure import WIRING_SCRIPT, wiring_layout, wiring_svg
from liquid_control.evaluation.page_parts import data_uri
from liquid_control.policy import Policy

__all__ = ["LIVE_SCRIPT", "LIVE_STYLE", "flow_shares", "player", "space"]

POINTS = 1500

LIVE_STYLE = """
.player { display: grid; grid-template-columns: minmax(0, 1fr) 290px; gap: 22px; margin-top: 12px; }
.player svg { display: block; width: 100%; height: auto; }
.player img { display: block; width: 100%; border-radius: 6px; background: #101418; }
.player .told { margin: 12px 0 4px; font-size: 14px; color: var(--muted); }
.player .told b { display: block; font-size: 26px; color: var(--ink); font-weight: 650; }
.player .controls { display: flex; gap: 12px; align-items: center; margin-top: 14px; }
.player button {
  flex: none; width: 40px; height: 40px; border: 0; border-radius: 50%; cursor: pointer;
  color: var(--paper); background: var(--ink); font-size: 15px;
}
.player button:focus-visible, .player input:focus-visible { outline: 2px solid var(--asked); }
.player input { flex: 1; min-width: 0; accent-color: var(--asked); }
.bar {
  position: relative; height: 10px; margin: 6px 0; border-radius: 5px; background: var(--rule);
}
.bar i { position: absolute; top: 0; bottom: 0; border-radius: 5px; background: var(--asked); }
.bar u { position: absolute; top: -4px; bottom: -4px; width: 3px; background: var(--ink); }
canvas.space { display: block; width: 100%; height: 320px; cursor: grab; touch-action: none; }
@media (max-width: 760px) { .player { grid-template-columns: 1fr; } }
"""

LIVE_SCRIPT = (
    WIRING_SCRIPT
    + """
function bytesOf(text) { return Int8Array.from(atob(text), c => c.charCodeAt(0)); }
for (const box of document.querySelectorAll(".player")) {
  const data = JSON.parse(box.querySelector("script").textContent);
  const states = bytesOf(data.states), currents = bytesOf(data.currents);
  const svg = box.querySelector("svg"), image = box.querySelector("img");
  const range = box.querySelector("input"), button = box.querySelector("button");
  const told = box.querySelector(".told b"), when = box.querySelector(".told span");
  const fill = box.querySelector(".bar i"), label = box.querySelector(".bar u");
  const share = (bytes, row, count) =>
    Array.from(bytes.subarray(row * count, (row + 1) * count), value => value / 127);
  let timer = null;
  function show(row) {
    paintWiring(svg, share(states, row, data.neurons),
      data.synapses ? share(currents, row, data.synapses) : null);
    if (image) image.src = data.pictures[row];
    const command = data.command[row], half = 50 * Math.max(-1, Math.min(1, command / data.high));
    told.textContent = (command < 0 ? "−" : "+") + Math.abs(command).toFixed(data.digits) +
      " " + data.unit;
    when.textContent = data.output + " at " + data.seconds[row].toFixed(1) + " s";
    fill.style.left = (half > 0 ? 50 - half : 50) + "%";
    fill.style.width = Math.abs(half) + "%";
    label.style.display = data.label[row] === null ? "none" : "block";
    label.style.left = 50 - 50 * Math.max(-1, Math.min(1, data.label[row] / data.high)) + "%";
    range.value = row;
  }
  function stop() { clearInterval(timer); timer = null; button.textContent = "▶"; }
  button.addEventListener("click", () => {
    if (timer) return stop();
    button.textContent = "❚❚";
    if (+range.value >= +range.max) range.value = 0;
    timer = setInterval(() => +range.value >= +range.max ? stop() : show(+range.value + 1), 100);
  });
  range.addEventListener("input", () => show(+range.value));
  show(data.first);
}
for (const canvas of document.querySelectorAll("canvas.space")) {
  const data = JSON.parse(canvas.nextElementSibling.textContent);
  const points = bytesOf(data.points), colors = bytesOf(data.colors);
  let turn = -0.6, tilt = 0.45, from = null;
  function draw() {
    const scale = devicePixelRatio || 1, box = canvas.getBoundingClientRect();
    canvas.width = box.width * scale; canvas.height = box.height * scale;
    const pen = canvas.getContext("2d"), style = getComputedStyle(canvas);
    pen.scale(scale, scale);
    const size = Math.min(box.width / 2.8, box.height / 2.3);
    const place = (x, y, z) => {
      const a = x * Math.cos(turn) - y * Math.sin(turn);
      const b = x * Math.sin(turn) + y * Math.cos(turn);
      return [box.width / 2 + a * size,
        box.height / 2 - (z * Math.cos(tilt) + b * Math.sin(tilt)) * size];
    };
    pen.font = "11px " + style.getPropertyValue("--sans");
    pen.lineWidth = 1;
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]].forEach((axis, index) => {
      const [x, y] = place(...axis.map(v => -v)), [u, v] = place(...axis);
      pen.strokeStyle = style.getPropertyValue("--rule");
      pen.beginPath(); pen.moveTo(x, y); pen.lineTo(u, v); pen.stroke();
      pen.fillStyle = style.getPropertyValue("--muted");
      pen.fillText("PC" + (index + 1), u + 4, v - 4);
    });
    for (let row = 0; row < points.length / 3; row++) {
      const at = [0, 1, 2].map(axis => points[3 * row + axis] / 127);
      const [x, y] = place(...at), side = colors[row] / 127;
      pen.globalAlpha = 0.25 + 0.65 * Math.abs(side);
      pen.fillStyle = side > 0.08 ? data.positive : side < -0.08 ? data.negative
        : style.getPropertyValue("--muted");
      pen.beginPath(); pen.arc(x, y, 2.2, 0, 7); pen.fill();
    }
    pen.globalAlpha = 1;
  }
  canvas.addEventListener("pointerdown", e => {
    from = [e.clientX, e.clientY, turn, tilt]; canvas.setPointerCapture(e.pointerId);
  });
  canvas.addEventListener("pointermove", e => {
    if (!from) return;
    turn = from[2] + (e.clientX - from[0]) / 120;
    tilt = Math.max(-1.5, Math.min(1.5, from[3] + (e.clientY - from[1]) / 120));
    draw();
  });
  canvas.addEventListener("pointerup", () => { from = null; });
  addEventListener("resize", draw);
  draw();
}
"""
)


def player(activity: Activity, policy: Policy, key: str) -> str:
    """The wiring with the activity of one drive to play, beside what the camera saw; markup.

    Needs an activity with pictures.
    """
    rows = np.array([row for row, _ in activity.pictures], int)
    states = hidden(activity, policy)
    currents = synapse_currents(
        policy.circuit, torch.from_numpy(activity.features), torch.from_numpy(states)
    )
    layout = wiring_layout(policy.circuit)
    if not layout["neurons"]:
        return ""
    shown = _shares(states)[rows]
    sensory = len(layout["neurons"]) - states.shape[1]
    if sensory:
        shown = np.concatenate((_shares(activity.features)[rows], shown), 1)
    flow = np.zeros((len(rows), 0)) if currents is None else flow_shares(currents, layout)[rows]
    column = steering_of(policy)
    output = policy.spec.outputs[column]
    command = activity.commands[rows, column]
    labels = activity.labels[rows, column]
    first = int(np.argmax(np.abs(command)))
    data = {
        "neurons": shown.shape[1],
        "synapses": flow.shape[1],
        "states": _packed(shown),
        "currents": _packed(flow),
        "command": np.round(command.astype(float), 5).tolist(),
        "label": [None if np.isnan(each) else round(float(each), 5) for each in labels],
        "seconds": np.round(activity.seconds[rows], 3).tolist(),
        "pictures": [data_uri("image/jpeg", content) for _, content in activity.pictures],
        "output": output.name.replace("_", " "),
        "unit": "" if output.unit == "1" else output.unit,
        "high": float(output.high),
        "digits": 4 if output.high < 0.5 else 2,
        "first": first,
    }
    svg = wiring_svg(
        layout,
        shown[first][sensory:],
        flow[first] if currents is not None else None,
        features=shown[first][:sensory] if sensory else None,
        name=f"{key}-wiring",
    )
    return (
        f'<div class="player">\n<div>{svg}</div>\n<div>\n<img alt="What the policy saw" '
        f'src="{data["pictures"][first]}">\n<p class="told"><span></span><b></b></p>\n'
        '<div class="bar"><i></i><u></u></div>\n<div class="controls">'
        '<button type="button" aria-label="Play or stop">▶</button>'
        f'<input type="range" min="0" max="{len(rows) - 1}" value="{first}" '
        'aria-label="Moment"></div>\n</div>\n'
        f'<script type="application/json">{_json(data)}</script>\n</div>'
    )


def space(
    activities: list[Activity], policy: Policy, found: Components, colors: tuple[str, str]
) -> str:
    """The path of the hidden state along its first three components, to be turned; markup.

    Args:
        activities: whose states are shown; of long drives every so many frames.
        policy: their policy.
        found: the components.
        colors: of left and of right turns.
    """
    states = np.concatenate([hidden(each, policy) for each in activities])
    column = steering_of(policy)
    command = np.concatenate([each.commands[:, column] for each in activities])
    every = -(-len(states) // POINTS)
    places = found.project(states[::every])
    size = np.abs(places).max() or 1.0
    side = command[::every] / policy.spec.high[column]
    data = {
        "points": _packed(places / size),
        "colors": _packed(np.clip(side / (np.abs(side).max() or 1.0), -1, 1)),
        "positive": colors[0],
        "negative": colors[1],
    }
    label = escape("Hidden state along its first three principal components; drag to turn")
    return (
        f'<canvas class="space" role="img" aria-label="{label}"></canvas>'
        f'<script type="application/json">{_json(data)}</script>'
    )


def flow_shares(currents: np.ndarray, layout: dict) -> np.ndarray:
    """Currents (T, synapses) in -1 to 1, relative to the strongest that leave the same layer: those
    of the few command neurons would drown in those of the inputs otherwise."""
    found = np.zeros_like(currents)
    neurons = layout["neurons"]
    layers = np.array([neurons[each["source"]]["layer"] for each in layout["synapses"]])
    for name in np.unique(layers):
        found[:, layers == name] = _shares(currents[:, layers == name])
    return found


def _shares(values: np.ndarray) -> np.ndarray:
    """Values of a drive in -1 to 1: all but the highest 0.5 % fit."""
    bound = float(np.percentile(np.abs(values), 99.5)) or 1.0
    return np.clip(values / bound, -1, 1)


def _packed(values: np.ndarray) -> str:
    """A byte a number in -1 to 1, as text."""
    return base64.b64encode(np.round(127 * values).astype(np.int8).tobytes()).decode()


def _json(data: dict) -> str:
    # "</script>" in a text would end the element.
    return json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
