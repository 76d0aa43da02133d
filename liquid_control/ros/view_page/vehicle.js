// The vehicle as its safety node has it, and how the nodes are.

import { format } from "./plots.js";
import { $, now, status } from "./state.js";

const DRIVERS = {
  policy: "The policy drives", person: "A person drives", nobody: "Nobody drives",
  "emergency stop": "Emergency stop", silent: "The safety node is silent",
};
const LEVELS = ["OK", "WARN", "ERROR", "STALE"];
const TOLD = { speed: ["speed", "m/s"], yaw_rate: ["yaw rate", "rad/s"], acceleration: ["acceleration", "m/s²"],
  vx: ["forward", "m/s"], vy: ["left", "m/s"], vz: ["up", "m/s"] };
// Until a stop that was asked for must be confirmed [ms].
const PATIENCE = 1500;

// Who drives, why it stands, what it is told.
// stop: when an emergency stop was asked for here and is not confirmed yet; 0: not.
export function paintVehicle(stop) {
  const silent = now.topics?.find(({ kind }) => kind === "safety")?.silent > 1.5;
  const driver = silent ? "silent" : (now.safety?.driver ?? "unknown"), box = $("driver");
  const safety = status("safety"), policy = status("policy");
  const why = [safety?.message, policy?.level ? `policy: ${policy.message}` : ""];
  const stands = driver === "nobody" || driver === "emergency stop";
  // Written only where it changes: a screen reader says every change.
  const texts = [DRIVERS[driver] ?? "Nothing heard of a safety node", ""];
  if (stands) texts[1] = Math.abs(now.safety.speed) > 0.05 ? "the vehicle is being stopped" : "the vehicle stands";
  box.dataset.driver = driver;
  texts.forEach((text, place) => {
    if (box.children[place].textContent !== text) box.children[place].textContent = text;
  });
  const reason = why.filter(Boolean).map((text) => text[0].toUpperCase() + text.slice(1)).join(". ");
  if ($("reason").textContent !== reason) $("reason").textContent = reason;
  const rows = [];
  for (const [name, value] of Object.entries(now.safety ?? {})) {
    if (TOLD[name]) rows.push([`${TOLD[name][0]} told`, `${format(value, 2)} ${TOLD[name][1]}`]);
  }
  const state = now.state ?? {};
  if ("speed" in state) rows.push(["speed", `${format(state.speed, 2)} m/s`]);
  if ("lateral_error" in state) rows.push(["lateral error", `${format(state.lateral_error, 2)} m`]);
  if ("target_distance" in state) rows.push(["target", `${format(state.target_distance, 1)} m away`]);
  if ("crashes" in state) rows.push(["crashes", state.crashes]);
  if ("successes" in state) rows.push(["successes", state.successes]);
  if (now.watch?.speed_share < 1) rows.push(["slowed to", `${format(100 * now.watch.speed_share, 0)} %`]);
  list($("told"), rows);

  const set = isStopped();
  const late = stop && performance.now() - stop > PATIENCE;
  $("stopped").hidden = !(set || late);
  const how = safety?.message.startsWith("emergency stop") ? safety.message.split(";")[0] : "emergency stop";
  const text = set
    ? `E${how.slice(1)}. A page cannot release it: press r in liquid-control teleop, or call the service `
      + `${service("safety/release")}.`
    : "The emergency stop is not confirmed by the safety node. Stop the vehicle in another way.";
  if ($("stopped").textContent !== text) $("stopped").textContent = text;
}

export function isStopped() {
  return now.stopped === true || now.safety?.driver === "emergency stop";
}

function service(name) {
  return `${(now.about?.namespace ?? "/").replace(/\/$/, "")}/${name}`;
}

function list(box, rows) {
  while (box.childElementCount > rows.length) box.lastChild.remove();
  rows.forEach(([name, value], place) => {
    let row = box.children[place];
    if (!row) {
      row = document.createElement("div");
      row.innerHTML = "<dt></dt><dd></dd>";
      box.append(row);
    }
    [name, String(value)].forEach((text, side) => {
      if (row.children[side].textContent !== text) row.children[side].textContent = text;
    });
  });
}

// Nodes

export function paintNodes() {
  const box = $("nodes");
  for (const each of now.diagnostics ?? []) {
    let node = [...box.children].find((other) => other.dataset.name === each.name);
    if (!node) {
      if (!box.querySelector("details")) box.replaceChildren();
      node = document.createElement("details");
      node.dataset.name = each.name;
      node.innerHTML = "<summary><i></i><b></b><span></span></summary><table><tbody></tbody></table>";
      box.append(node);
    }
    const level = each.age > 3 ? 3 : each.level;
    node.dataset.level = level;
    const [mark, name, text] = node.firstChild.children;
    mark.textContent = LEVELS[level];
    name.textContent = each.name;
    text.textContent = level === 3 ? `silent for ${each.age.toFixed(0)} s` : each.message;
    if (node.open) {
      node.querySelector("tbody").replaceChildren(...Object.entries(each.values).map(([key, value]) => {
        const row = document.createElement("tr");
        row.innerHTML = `<th scope="row"></th><td></td>`;
        row.firstChild.textContent = key.replaceAll("_", " ");
        row.lastChild.textContent = value;
        return row;
      }));
    }
  }
}
