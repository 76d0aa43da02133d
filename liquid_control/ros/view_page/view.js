// The live page: one connection, the newest of everything, drawn once a frame of the screen.

import { History, draw, format, quantile, seconds as lasting } from "./plots.js";
import { Constants, Wiring, plain } from "./neurons.js";
import { $, now, status } from "./state.js";
import { isStopped, paintNodes, paintVehicle } from "./vehicle.js";

const WHO = {
  expert: { text: "expert or human", color: "expert", width: 5 },
  vehicle: { text: "passed on by safety", color: "vehicle", width: 1.6 },
  person: { text: "person now", color: "person", width: 2 },
  policy: { text: "policy", color: "policy", width: 2 },
};
const FIGURES = 45; // least time between two drawings of plots and neurons [ms]
const UNITS = { curvature: "1/m", speed: "m/s", yaw_rate: "rad/s", vx: "m/s", vy: "m/s", vz: "m/s" };

// Remove the token from the address: it is in the cookie, and addresses are shown and shared.
if (location.search) history.replaceState(null, "", "/");

let socket, numbers = [], bitmap = null, newest = 0, scheduled = false, changed = new Set();
let plots = new Map(), ages = new History(), shown = new Set(), drawnAt = [], clock = 0;
let figuresAt = 0, wiring = null, without = null, constants = null, stopAsked = 0;

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { document.body.dataset.link = "live"; show(); schedule("link"); };
  socket.onmessage = (event) => receive(event.data);
  socket.onclose = () => {
    document.body.dataset.link = "lost";
    numbers = [];
    newest = 0;
    for (const kind of Object.keys(now)) delete now[kind];
    schedule("link");
    setTimeout(connect, 1000);
  };
}

function say(what) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(what));
}

function show() {
  say({ show: document.hidden ? null : document.querySelector("input[name=stream]:checked").value });
}

async function receive(data) {
  const size = new DataView(data).getUint32(0, true);
  const update = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)));
  const { number, points, picture, delay, ...kinds } = update;
  for (const point of points ?? []) take(point);
  Object.assign(now, kinds);
  for (const kind of Object.keys(kinds)) changed.add(kind);
  if (points) changed.add("points");
  if (picture) {
    now.delay = delay;
    try {
      const next = await createImageBitmap(new Blob([new Uint8Array(data, 4 + size)]));
      // Decoded side by side: an older one may be done later.
      if (number > newest) {
        bitmap?.close();
        bitmap = next;
        newest = number;
      }
    } catch {
      // A damaged picture; the next one comes soon.
    }
  }
  numbers.push(number);
  schedule();
}

function take(point) {
  if (point.t === undefined) {
    if (point.age !== null) ages.add(clock, { age: 1e3 * point.age, inference: 1e3 * point.inference });
    return;
  }
  clock = point.t;
  if (ages.points.length && clock < ages.points.at(-1).time) ages = new History();
  for (const [place, plot] of [...plots.values()].entries()) {
    plot.history.add(clock, Object.fromEntries(Object.keys(WHO).map((who) => [who, point[who]?.[place] ?? null])));
  }
  for (const who of Object.keys(WHO)) if (point[who]?.some((value) => value !== null)) shown.add(who);
}

function schedule(kind) {
  if (kind) changed.add(kind);
  if (!scheduled) {
    scheduled = true;
    requestAnimationFrame(render);
  }
}

function render() {
  scheduled = false;
  const kinds = changed;
  changed = new Set();
  if (bitmap) paintPicture();
  // Plots and neurons are looked at, not watched for the one frame: half the work at 30 Hz.
  const time = performance.now();
  if (time - figuresAt < FIGURES) {
    for (const kind of ["neural", "points"]) if (kinds.delete(kind)) changed.add(kind);
    if (changed.size) setTimeout(() => schedule(), FIGURES);
  } else if (kinds.has("neural") || kinds.has("points")) {
    figuresAt = time;
  }
  if (kinds.has("outputs") || kinds.has("wiring")) layPlots();
  if (kinds.has("wiring") || kinds.has("neurons")) layNeurons();
  if (kinds.has("neural") && now.neural) paintNeurons();
  if (kinds.has("points")) paintPlots();
  if (["safety", "state", "link", "stopped", "diagnostics", "topics"].some((kind) => kinds.has(kind))) {
    if (isStopped()) stopAsked = 0;
    paintVehicle(stopAsked);
  }
  if (kinds.has("diagnostics")) { paintNodes(); paintRecorder(); }
  if (kinds.has("reach") || kinds.has("link")) paintReach();
  if (kinds.has("answer")) paintAnswer();
  if (["topics", "about", "link", "model", "trouble"].some((kind) => kinds.has(kind))) paintPlace();
  // Only now is there room for more: what is not drawn is not asked for.
  for (const number of numbers) say({ drawn: number });
  numbers = [];
}

// Camera

function paintPicture() {
  const canvas = $("picture");
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
  }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  bitmap = null;
  canvas.dataset.frames = +canvas.dataset.frames + 1;
  $("blank").hidden = true;
  drawnAt.push(performance.now());
}

setInterval(() => {
  const time = performance.now();
  drawnAt = drawnAt.filter((at) => time - at < 2000);
  $("rate").textContent = drawnAt.length ? `${(drawnAt.length / 2).toFixed(0)} frames/s` : "no new picture";
  $("behind").textContent = drawnAt.length && now.delay ? `page ${(1e3 * now.delay).toFixed(0)} ms behind` : "";
  const recent = ages.values("age");
  for (const [id, share] of [["age-50", 0.5], ["age-99", 0.99]]) figure(id, quantile(recent, share), "ms");
  figure("inference", quantile(ages.values("inference"), 0.5), "ms");
  if (stopAsked && time - stopAsked > 1500) schedule("safety");
}, 500);

// Command

function layPlots() {
  const names = now.outputs ?? [];
  const told = Object.fromEntries((now.wiring?.outputs ?? []).map((output) => [output.name, output]));
  if ([...plots.keys()].join() !== names.join()) {
    plots = new Map();
    $("commands").replaceChildren();
    $("commands").classList.toggle("several", names.length > 1);
    for (const name of names) {
      const figure = document.createElement("figure");
      figure.innerHTML = `<figcaption><b></b><small></small><p></p></figcaption><div class="plot"><canvas role="img"></canvas></div>`;
      $("commands").append(figure);
      const [canvas, values] = ["canvas", "p"].map((part) => figure.querySelector(part));
      plots.set(name, { history: new History(), figure, canvas, values });
    }
  }
  for (const [name, plot] of plots) {
    const { unit = UNITS[name] ?? "", low = -1e-3, high = 1e-3 } = told[name] ?? {};
    const reach = Math.max(Math.abs(low ?? 1), Math.abs(high ?? 1));
    // A fifth of what can be asked for is always shown, so that noise looks like noise.
    plot.limits = low >= 0 ? { low: 0, high: 0.2 * reach, zero: true } : { low: -0.2 * reach, high: 0.2 * reach };
    plot.figure.querySelector("b").textContent = name.replace("_", " ");
    plot.figure.querySelector("small").textContent = unit;
    plot.canvas.setAttribute("aria-label", `${name} over the last 20 seconds`);
  }
}

function paintPlots() {
  const lines = Object.entries(WHO).filter(([who]) => shown.has(who)).map(([name, who]) => ({ name, ...who }));
  const bottom = [...plots.values()].at(-1);
  for (const plot of plots.values()) {
    const last = plot.history.points.at(-1);
    const values = lines.filter(({ name }) => last && last[name] !== null).reverse();
    values.forEach(({ color, text, name }, place) => {
      const value = plot.values.children[place] ?? plot.values.appendChild(document.createElement("span"));
      value.style.setProperty("--line", `var(--${color})`);
      value.title = text;
      value.textContent = format(last[name]);
    });
    while (plot.values.childElementCount > values.length) plot.values.lastChild.remove();
    draw(plot.canvas, plot.history, lines, plot.limits, plot === bottom);
  }
  if ($("who").childElementCount !== lines.length) {
    $("who").replaceChildren(...lines.reverse().map(({ text, color }) => {
      const part = document.createElement("span");
      part.innerHTML = "<i></i>";
      part.firstChild.style.background = `var(--${color})`;
      part.append(text);
      return part;
    }));
    lines.reverse();
  }
  draw($("ages"), ages, [{ name: "age", color: "policy", width: 1.4 }], { low: 0, high: 10, zero: true });
}

function figure(id, value, unit) {
  $(id).innerHTML = "<small></small>";
  $(id).prepend(format(value, 1));
  $(id).firstElementChild.textContent = value === null ? "" : unit;
}

// Neurons

function layNeurons() {
  const names = now.neurons ?? [];
  // Of the same object as long as it is the same: a wiring takes a while to come.
  if (names.join() !== without?.names.join()) without = names.length ? { names, layout: plain(names) } : null;
  const layout = now.wiring?.layout ?? without?.layout;
  if (layout && wiring?.layout !== layout) wiring = new Wiring($("wiring"), layout);
  if (names.length && constants?.names.join() !== names.join()) {
    constants = new Constants($("constants"), names);
    $("neuron-numbers").querySelector("tbody").replaceChildren(...names.map((name) => {
      const row = document.createElement("tr");
      row.innerHTML = `<th scope="row"></th><td></td><td></td>`;
      row.firstChild.textContent = name.replace("_", " ");
      return row;
    }));
  }
  const synapses = layout?.synapses.length;
  $("circuit").textContent = now.wiring?.trouble
    ?? (layout ? `${names.length} neurons${synapses ? `, ${synapses} synapses` : now.wiring ? "" : ", wiring on its way"}` : "");
}

let numbersAt = 0;
function paintNeurons() {
  const { state, time_constant: seconds } = now.neural;
  wiring?.paint(state);
  constants?.paint(seconds);
  const known = seconds.filter((value) => value !== null);
  $("h-constants").textContent = known.length
    ? `Effective time constants, ${lasting(Math.min(...known))} to ${lasting(Math.max(...known))}`
    : "This circuit has no time constants";
  const time = performance.now();
  if ($("neuron-numbers").open && time - numbersAt > 250) {
    numbersAt = time;
    $("neuron-numbers").querySelectorAll("tbody tr").forEach((row, place) => {
      row.cells[1].textContent = format(state[place]);
      row.cells[2].textContent = lasting(seconds[place] ?? null);
    });
  }
}

// Buttons

function paintReach() {
  const live = document.body.dataset.link === "live";
  $("stop").disabled = !live || !now.reach?.stop;
  $("stop").title = $("stop").disabled ? "No safety node hears it" : "Stops the vehicle at once; a page cannot release it";
  $("record").disabled = !live || !now.reach?.record;
  $("record").title = now.reach?.record ? "" : "No recorder runs: start one with record:=true";
  if (!now.reach?.record) $("recorded").textContent = live && now.reach ? "no recorder" : "";
}

function recording() {
  return status("recorder")?.values.recording === "True";
}

function paintRecorder() {
  const { values } = status("recorder") ?? {};
  if (!values || !now.reach?.record) return;
  const on = recording();
  $("record").setAttribute("aria-pressed", on);
  $("record").lastChild.textContent = on ? "End recording" : "Record";
  $("recorded").textContent = on ? `${(values.bytes / 1e6).toFixed(1)} MB` : "not recording";
  $("recorded").title = values.bag;
}

function paintAnswer() {
  const { wish, success, text } = now.answer;
  delete now.answer;
  if (wish === "stop") {
    if (!success) stopAsked = -1e6;
    schedule("safety");
    return;
  }
  const recorder = status("recorder");
  if (success && recorder) recorder.values.recording = wish === "record" ? "True" : "False";
  paintRecorder();
  if (!success) notice(text);
}

let noticeTimer = 0;
function notice(text) {
  now.notice = text;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { delete now.notice; schedule("about"); }, 8000);
  schedule("about");
}

$("stop").addEventListener("click", () => {
  stopAsked = performance.now();
  say({ ask: "stop" });
});
$("record").addEventListener("click", () => say({ ask: recording() ? "finish" : "record" }));
for (const input of document.querySelectorAll("input[name=stream]")) {
  input.addEventListener("change", () => { $("blank").hidden = false; show(); });
}
document.addEventListener("visibilitychange", show);

// Where, and what is missing

function paintPlace() {
  const link = document.body.dataset.link, about = now.about;
  if (now.model) {
    $("name").textContent = now.model.name;
    document.title = `${now.model.name} · live`;
  }
  const space = about && about.namespace !== "/" ? `${about.namespace}, ` : "";
  const reach = about?.range === "LOCALHOST" || about?.range === "SYSTEM_DEFAULT" ? "this machine" : "the network";
  if (about) $("where").textContent = `${space}ROS domain ${about.domain}, ${reach}`;
  const topics = now.topics ?? [];
  const missing = topics.filter(({ publishers }) => !publishers).map(({ topic }) => topic);
  const silent = topics.filter(({ publishers, silent }) => publishers && (silent === null || silent > 2));
  const decisions = topics.find(({ kind }) => kind === "decision");
  document.body.classList.toggle("silent", !decisions || decisions.silent === null || decisions.silent > 2);
  let text = "";
  if (link === "lost") {
    text = "The connection is lost: what you see is old, and nothing can be stopped from here. "
      + "Trying again every second.";
  }
  else if (now.notice) text = now.notice;
  else if (missing.length) {
    const where = space ? `, namespace ${about.namespace}` : "";
    text = `Nobody publishes ${missing.join(", ")} yet, in ROS domain ${about?.domain}${where}, on ${reach}.`;
  } else if (silent.length) {
    const since = ({ silent }) => (silent === null ? "" : ` for ${silent.toFixed(0)} s`);
    text = `Silent: ${silent.map((each) => each.topic + since(each)).join(", ")}.`;
  }
  else if (now.trouble) text = now.trouble;
  $("banner").hidden = !text;
  if ($("banner").textContent !== text) $("banner").textContent = text;
}

connect();
