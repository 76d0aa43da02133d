// Time plots that scroll: canvas, no library.

const SPAN = 20; // [s]
const GAP = 0.6; // between points of one line [s]

// Asked for hundreds of times a second: kept until the page turns light or dark.
const styles = new Map();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => styles.clear());

export function style(name) {
  if (!styles.has(name)) {
    styles.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  }
  return styles.get(name);
}

// A canvas in the pixels of this screen; null while it has no size.
function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (!width || !height) return null;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = `11px ${style("sans")}`;
  return context;
}

// 1, 2 or 5 times a power of ten, about `count` of them in a range.
function step(range, count) {
  const rough = range / count, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
}

export function format(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  const text = size.toFixed(size >= 100 ? 0 : size >= 10 ? Math.min(1, digits) : size >= 1 ? Math.min(2, digits) : digits);
  return value < 0 && Number(text) ? `−${text}` : text;
}

export function seconds(value) {
  if (value === null) return "–";
  return value < 1 ? `${format(1e3 * value, 1)} ms` : `${format(value)} s`;
}

// Series of (time, value) over the last seconds.
export class History {
  constructor() {
    this.points = [];
  }

  add(time, values) {
    const last = this.points.at(-1);
    // A clock that went back: another recording, or a simulator that began anew.
    if (last && time < last.time) this.points = [];
    this.points.push({ time, ...values });
    const old = this.points.findIndex((point) => point.time > time - SPAN - 1);
    if (old > 60) this.points.splice(0, old);
  }

  values(name) {
    return this.points.map((point) => point[name]).filter((value) => value !== null && value !== undefined);
  }
}

// lines: [{ name, color, width }], drawn in this order; limits: { low, high } that are shown at least;
// dated: with the times below
export function draw(canvas, history, lines, limits, dated = true) {
  const context = prepare(canvas);
  if (!context) return;
  const left = 46, right = canvas.clientWidth - 4, top = 6, foot = canvas.clientHeight - (dated ? 17 : 5);
  const end = history.points.at(-1)?.time ?? 0;
  let { low, high } = limits;
  for (const { name } of lines) {
    for (const value of history.values(name)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  const margin = 0.06 * (high - low);
  if (low < 0 || !limits.zero) low -= margin;
  high += margin;
  const x = (time) => left + ((time - end + SPAN) / SPAN) * (right - left);
  const y = (value) => foot - ((value - low) / (high - low)) * (foot - top);

  context.lineWidth = 1;
  context.textBaseline = "middle";
  const size = step(high - low, Math.max(3, (foot - top) / 30));
  const digits = Math.max(0, -Math.floor(Math.log10(size)));
  for (let value = Math.ceil(low / size) * size; value <= high; value += size) {
    const row = Math.round(y(value)) + 0.5, zero = Math.abs(value) < size / 2;
    context.strokeStyle = style(zero ? "muted" : "rule");
    context.globalAlpha = zero ? 0.55 : 1;
    context.beginPath();
    context.moveTo(left, row);
    context.lineTo(right, row);
    context.stroke();
    context.globalAlpha = 1;
    context.fillStyle = style("muted");
    context.textAlign = "right";
    context.fillText((zero ? 0 : value).toFixed(digits).replace("-", "−"), left - 7, row);
  }
  context.textBaseline = "alphabetic";
  for (let ago = 0; dated && ago <= SPAN; ago += 5) {
    context.textAlign = ago === 0 ? "right" : ago === SPAN ? "left" : "center";
    context.fillText(ago ? `−${ago} s` : "now", x(end - ago), canvas.clientHeight - 3);
  }

  context.save();
  context.beginPath();
  context.rect(left, 0, right - left, canvas.clientHeight);
  context.clip();
  context.lineJoin = "round";
  for (const { name, color, width } of lines) {
    context.strokeStyle = style(color);
    context.lineWidth = width;
    context.beginPath();
    let before = -Infinity;
    for (const point of history.points) {
      const value = point[name];
      if (value === null || value === undefined) continue;
      if (point.time - before > GAP) context.moveTo(x(point.time), y(value));
      else context.lineTo(x(point.time), y(value));
      before = point.time;
    }
    context.stroke();
  }
  context.restore();
}

export function quantile(values, share) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
