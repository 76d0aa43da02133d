// The wiring with its activity, and the time constants; SVG that is drawn once and then painted.

const SPACE = "http://www.w3.org/2000/svg";
const LAYERS = { sensory: "sensory neurons", inter: "inter", command: "command", motor: "motor", hidden: "units" };

export function make(kind, attributes, parent, text) {
  const element = document.createElementNS(SPACE, kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent?.append(element);
  return element;
}

// Only what has changed: an attribute that is set is drawn again.
function put(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// Of neurons whose wiring is not known: a row for each layer that their names tell.
export function plain(names) {
  const layers = [...new Set(names.map((name) => name.replace(/_?\d+$/, "")))];
  const neurons = names.map((name, state) => {
    const layer = name.replace(/_?\d+$/, "");
    const members = names.filter((other) => other.replace(/_?\d+$/, "") === layer);
    const place = members.indexOf(name), columns = Math.min(members.length, 24);
    return {
      name, layer, state, radius: 12,
      x: 30 + (place % columns + 0.5) * (940 / columns),
      y: 60 + layers.indexOf(layer) * 90 + Math.floor(place / columns) * 36,
    };
  });
  const height = Math.max(...neurons.map((neuron) => neuron.y), 60) + 40;
  return { view: [1000, height], neurons, synapses: [] };
}

export class Wiring {
  // layout: of the server's `wiring_layout`
  constructor(box, layout) {
    this.layout = layout;
    this.largest = { state: 0.2, current: 1e-3 };
    const [width, height] = layout.view;
    const counts = {};
    for (const { layer } of layout.neurons) counts[layer] = (counts[layer] ?? 0) + 1;
    const told = Object.entries(counts).map(([layer, count]) => `${count} ${LAYERS[layer] ?? layer}`).join(", ");
    // What never changes lies on a layer of its own, which the browser draws once.
    const view = { viewBox: `0 0 ${width} ${height}` };
    const still = make("svg", { ...view, role: "img",
      "aria-label": `Wiring with activity: ${told}; ${layout.synapses.length} synapses` });
    const svg = make("svg", { ...view, class: "live", "aria-hidden": true });
    for (const [layer, count] of Object.entries(counts)) {
      const members = layout.neurons.filter((neuron) => neuron.layer === layer);
      const middle = members.reduce((sum, neuron) => sum + neuron.x, 0) / members.length;
      const side = middle < 120 ? "first" : middle > width - 120 ? "last" : "";
      const x = { first: 4, last: width - 4 }[side] ?? middle;
      // Above its column; above its row where the wiring is not known.
      const y = layout.synapses.length ? 26 : Math.min(...members.map((neuron) => neuron.y)) - 22;
      make("text", { class: `layer ${side}`, x, y }, still, `${count} ${layer}`);
    }
    const isSensory = ({ source }) => layout.neurons[source].state === null;
    this.paths = layout.synapses.map((synapse) => {
      const path = make("path", { class: synapse.polarity > 0 ? "excites" : "inhibits", d: synapse.path,
        "stroke-width": 0.8, opacity: 0.1 }, synapse.weight === undefined || isSensory(synapse) ? still : svg);
      const ends = [synapse.source, synapse.target].map((place) => layout.neurons[place].name.replace("_", " "));
      make("title", {}, path, ends.join(" to "));
      return path;
    });
    this.faces = layout.neurons.map((neuron) => {
      const group = make("g", { class: neuron.layer }, neuron.state === null ? still : svg);
      make("title", {}, group, neuron.name.replace("_", " "));
      const place = { cx: neuron.x, cy: neuron.y };
      make("circle", { class: "face", ...place, r: neuron.radius }, group);
      const fill = make("circle", { class: "state", ...place, r: neuron.radius - 0.8, "fill-opacity": 0 }, group);
      if (neuron.radius >= 9) make("text", { x: neuron.x, y: neuron.y + 4 }, group, neuron.name.replace(/^.*_/, ""));
      return fill;
    });
    box.replaceChildren(still, svg);
  }

  // Colour of the states, and width of the currents between neurons: both against the largest seen.
  paint(states) {
    const { neurons, synapses } = this.layout;
    this.largest.state = Math.max(this.largest.state * 0.999, ...states.map((state) => Math.abs(state ?? 0)));
    neurons.forEach((neuron, place) => {
      if (neuron.state === null) return;
      const share = (states[neuron.state] ?? 0) / this.largest.state;
      put(this.faces[place], "fill", share > 0 ? "var(--up)" : "var(--down)");
      put(this.faces[place], "fill-opacity", Math.min(1, Math.abs(share)).toFixed(2));
    });
    const currents = synapses.map((synapse) => {
      const before = neurons[synapse.source].state;
      if (before === null || synapse.weight === undefined) return null;
      const gate = 1 / (1 + Math.exp(-synapse.slope * ((states[before] ?? 0) - synapse.midpoint)));
      return synapse.weight * gate * (synapse.reversal - (states[neurons[synapse.target].state] ?? 0));
    });
    this.largest.current = Math.max(this.largest.current * 0.999, ...currents.map((current) => Math.abs(current ?? 0)));
    currents.forEach((current, place) => {
      if (current === null) return;
      const size = Math.min(1, Math.abs(current) / this.largest.current);
      put(this.paths[place], "stroke-width", (0.6 + 5 * size).toFixed(1));
      put(this.paths[place], "opacity", (0.1 + 0.85 * Math.sqrt(size)).toFixed(2));
    });
  }
}

// A bar for each neuron on a logarithmic axis, which grows to hold all that was seen.
export class Constants {
  constructor(box, names) {
    this.names = names;
    this.box = box;
    this.low = Infinity;
    this.high = -Infinity;
    this.bars = names.map((name) => {
      const bar = document.createElement("i");
      bar.className = name.replace(/_?\d+$/, "");
      bar.title = name.replace("_", " ");
      return bar;
    });
  }

  // Whole decades; they change a few times in the first seconds.
  grow(seconds) {
    const known = seconds.filter((value) => value > 0).map(Math.log10);
    const low = Math.min(this.low, Math.floor(Math.min(...known)));
    const high = Math.max(this.high, Math.ceil(Math.max(...known)));
    if (!known.length || (low === this.low && high === this.high)) return;
    Object.assign(this, { low, high });
    const marks = [];
    for (let power = low; power <= high; power++) {
      const mark = document.createElement("span");
      mark.textContent = power < 0 ? `${10 ** (power + 3)} ms` : `${10 ** power} s`;
      mark.style.bottom = `${(100 * (power - low)) / (high - low)}%`;
      marks.push(mark);
    }
    this.box.replaceChildren(...marks, ...this.bars);
  }

  paint(seconds) {
    this.grow(seconds);
    this.bars.forEach((bar, place) => {
      const share = seconds[place] > 0 ? (Math.log10(seconds[place]) - this.low) / (this.high - this.low) : 0;
      bar.style.transform = `scaleY(${share.toFixed(3)})`;
    });
  }
}
