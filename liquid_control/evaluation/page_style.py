"""Style sheet and scripts of report pages. They stand in the page, so nothing is ever fetched."""

__all__ = ["SCRIPT", "SORT_SCRIPT", "STYLE"]

STYLE = """
:root {
  color-scheme: light dark;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
  --page: #f5f5f2; --paper: #ffffff; --ink: #1b2127; --muted: #5c6873; --rule: #e1e3e0;
  --asked: #d4590f; --driven: #0e7c6b; --target: #a9b3bd; --bad: #c3263b; --good: #0e7c6b;
  --m1: #d4590f; --m2: #0e7c6b; --m3: #3a63c8; --m4: #a3389a; --m5: #857000; --m6: #5d6b76;
  --m7: #b3243c; --m8: #3f8f2f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101417; --paper: #171c21; --ink: #e9edf0; --muted: #95a2ae; --rule: #2c343c;
    --asked: #ff9250; --driven: #4fcab6; --target: #66737f; --bad: #ff7272; --good: #4fcab6;
    --m1: #ff9250; --m2: #4fcab6; --m3: #86a8ff; --m4: #e08ad8; --m5: #d6bf4a; --m6: #a3b1bc;
    --m7: #ff7e8b; --m8: #8fd67d;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 var(--sans); font-variant-numeric: tabular-nums;
}
main { max-width: 1104px; margin: 0 auto; padding: 40px 32px 64px; }
.kicker { margin: 0; color: var(--muted); font-size: 13px; }
h1 { margin: 4px 0 14px; font-size: 30px; line-height: 1.2; font-weight: 650; }
h2 { margin: 0; font-size: 17px; font-weight: 650; }
.lead { max-width: 74ch; margin: 0; color: var(--muted); font-size: 16px; }
.lead + .verdict { margin-top: 14px; }
.verdict { display: flex; gap: 12px; align-items: baseline; margin: 0; font-size: 17px; }
.verdict b {
  flex: none; padding: 2px 11px; border-radius: 999px; font-size: 13px; font-weight: 650;
  color: var(--paper); background: var(--good);
}
.verdict.failed b { background: var(--bad); }
.cards {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(158px, 1fr)); gap: 1px;
  margin: 28px 0 0; border: 1px solid var(--rule); border-radius: 10px; overflow: hidden;
  background: var(--rule);
}
.cards > div { padding: 14px 18px 13px; background: var(--paper); }
.cards dt { color: var(--muted); font-size: 13px; }
.cards dd { margin: 0; }
.cards dd:first-of-type { font-size: 26px; line-height: 1.3; font-weight: 650; }
.cards dd small { margin-left: 3px; font-size: 14px; font-weight: 400; color: var(--muted); }
.cards dd.alarm { color: var(--bad); }
.cards dd + dd { color: var(--muted); font-size: 13px; }
section {
  margin-top: 20px; padding: 20px 24px 22px; background: var(--paper);
  border: 1px solid var(--rule); border-radius: 10px;
}
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 20px; margin-top: 20px; }
.pair > section { min-width: 0; margin: 0; }
.pair > section:last-child:nth-child(odd) { grid-column: 1 / -1; }
.pair > section:last-child:nth-child(odd) th { width: 23%; }
.head { display: flex; flex-wrap: wrap; gap: 4px 22px; align-items: baseline; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; font-size: 13px; color: var(--muted); }
.legend i {
  display: inline-block; width: 16px; height: 3px; margin-right: 7px; vertical-align: middle;
  border-radius: 2px;
}
.legend .ramp { width: 120px; height: 8px; }
.note { margin: 2px 0 0; color: var(--muted); font-size: 13px; }
.plot { position: relative; margin: 12px 0 0; overflow-x: auto; }
.plot > div { position: relative; }
.plot svg { display: block; width: 100%; height: auto; }
.plot svg * { stroke-linejoin: round; }
.plot svg image { image-rendering: pixelated; }
.wide > div { min-width: 640px; }
.cursor {
  position: absolute; top: 0; bottom: 0; width: 1px; background: var(--ink); opacity: .55;
  pointer-events: none; display: none;
}
.cursor::after {
  content: attr(data-time); position: absolute; top: 0; left: 5px; padding: 0 5px; font-size: 12px;
  white-space: nowrap; color: var(--paper); background: var(--ink); border-radius: 3px;
}
.cursor.flip::after { left: auto; right: 5px; }
.timed { cursor: crosshair; }
video { display: block; width: 100%; margin-top: 14px; border-radius: 6px; background: #101418; }
.stills {
  display: grid; grid-template-columns: repeat(4, 1fr); gap: 16px; margin-top: 14px;
}
.stills figure { margin: 0; }
.stills img { display: block; width: 100%; border-radius: 4px; }
.stills figcaption { margin-top: 5px; font-size: 13px; color: var(--muted); }
.stills b { color: var(--ink); font-weight: 600; }
table { width: 100%; border-collapse: collapse; margin-top: 10px; font-size: 14px; }
th, td { padding: 6px 0; border-top: 1px solid var(--rule); text-align: left; font-weight: 400; }
tr:first-child > * { border-top: 0; }
th { width: 46%; padding-right: 16px; color: var(--muted); vertical-align: top; }
td { overflow-wrap: anywhere; }
td code { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
.scroll { overflow-x: auto; margin-top: 10px; }
.sortable { margin: 0; }
.sortable th, .sortable td { padding: 6px 14px 6px 0; white-space: nowrap; width: auto; }
.sortable th.n, .sortable td.n { text-align: right; padding: 6px 0 6px 14px; }
.sortable thead th { border-bottom: 1px solid var(--rule); vertical-align: bottom; }
.sortable button {
  all: unset; cursor: pointer; color: var(--muted); font-size: 13px; white-space: normal;
}
.sortable button:hover, .sortable button:focus-visible { color: var(--ink); }
.sortable button:focus-visible { outline: 2px solid var(--asked); outline-offset: 2px; }
.sortable [aria-sort] button { color: var(--ink); font-weight: 600; }
.sortable [aria-sort="ascending"] button::after { content: " ↑"; }
.sortable [aria-sort="descending"] button::after { content: " ↓"; }
.sortable td.best { font-weight: 650; }
.sortable tbody tr:hover { background: color-mix(in srgb, var(--ink) 4%, transparent); }
.range { color: var(--muted); font-size: 12px; font-weight: 400; }
span.heat {
  display: inline-block; min-width: 96px; padding: 3px 10px; border-radius: 5px;
  background: color-mix(in srgb, var(--bad) var(--w), transparent);
}
span.heat .range { display: block; color: inherit; opacity: .72; }
.heat .sortable td { padding-top: 2px; padding-bottom: 2px; border-top: 0; }
.heat .sortable td:first-child { white-space: normal; }
h2.world { margin: 40px 0 0; font-size: 22px; }
details { margin-top: 10px; }
summary { cursor: pointer; color: var(--muted); font-size: 14px; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 14px;
  margin-top: 14px;
}
.tiles figure { margin: 0; border: 1px solid var(--rule); border-radius: 8px; overflow: hidden; }
.tiles svg { display: block; width: 100%; height: auto; }
.tiles figcaption { padding: 6px 12px 8px; font-size: 13px; color: var(--muted); }
.tiles b, .films b { color: var(--ink); font-weight: 600; }
.films {
  display: grid; grid-template-columns: 1fr 1fr; gap: 18px; margin-top: 14px;
}
.films figure { margin: 0; min-width: 0; }
.films figure:first-child:nth-last-child(odd) { grid-column: 1 / -1; }
.films video { margin-top: 0; aspect-ratio: 16 / 9; }
.films figcaption { margin-top: 6px; font-size: 13px; color: var(--muted); }
.films .bad { color: var(--bad); }
.dot {
  display: inline-block; width: 9px; height: 9px; margin-right: 8px; border-radius: 50%;
}
ul { margin: 8px 0 0; padding-left: 20px; }
footer { margin-top: 28px; color: var(--muted); font-size: 13px; }
a { color: inherit; }
@media (max-width: 760px) {
  main { padding: 24px 14px 40px; }
  section { padding: 16px 14px; }
  .pair { grid-template-columns: 1fr; }
  .stills { grid-template-columns: 1fr 1fr; }
  .films { grid-template-columns: 1fr; }
  .heat .sortable th.n, .heat .sortable td.n { padding-left: 4px; padding-right: 0; }
  span.heat { min-width: 76px; padding: 3px 6px; }
}
@media print {
  section, .stills figure { break-inside: avoid; }
  video { display: none; }
}
"""

# One time line: pointing at a chart shows that moment in all of them, a click seeks the video, and
# the playing video moves the line. `sync` maps the video's seconds to the run's piece by piece, as
# long gaps of a recording are shortened in the video.
SCRIPT = """
const plots = [...document.querySelectorAll(".timed")];
const video = document.querySelector("video");
const sync = video ? JSON.parse(video.dataset.sync) : [];
function show(time) {
  for (const plot of plots) {
    const d = plot.dataset, line = plot.querySelector(".cursor");
    const share = (time - d.begin) / (d.end - d.begin);
    line.style.display = share >= 0 && share <= 1 ? "block" : "none";
    line.style.left = 100 * (+d.left + share * (d.right - d.left)) + "%";
    line.dataset.time = time.toFixed(2) + " s";
    line.classList.toggle("flip", share > 0.85);
  }
}
function timeAt(plot, event) {
  const box = plot.getBoundingClientRect(), d = plot.dataset;
  const share = ((event.clientX - box.left) / box.width - d.left) / (d.right - d.left);
  return +d.begin + Math.min(1, Math.max(0, share)) * (d.end - d.begin);
}
function toRun(seconds) {
  const [at, run] = sync.filter(([at]) => at <= seconds + 1e-6).pop() || [0, 0];
  return run + seconds - at;
}
function toVideo(time) {
  const [at, run] = sync.filter(([, run]) => run <= time + 1e-6).pop() || [0, 0];
  return at + time - run;
}
for (const plot of plots) {
  plot.addEventListener("pointermove", event => show(timeAt(plot, event)));
  plot.addEventListener("click", event => {
    if (video) video.currentTime = Math.max(0, toVideo(timeAt(plot, event)));
  });
}
if (video) {
  const follow = () => {
    show(toRun(video.currentTime));
    if (!video.paused) requestAnimationFrame(follow);
  };
  video.addEventListener("play", follow);
  video.addEventListener("seeked", follow);
}
"""

# A click on a heading of a `.sortable` table sorts its rows, a second one the other way round.
SORT_SCRIPT = """
for (const table of document.querySelectorAll(".sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent : +cell.dataset.value;
  };
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(each => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].sort((one, other) => {
      const a = key(one, column), b = key(other, column);
      const order = typeof a === "number" && typeof b === "number" ? a - b
        : String(a).localeCompare(String(b), "en", {numeric: true});
      return down ? -order : order;
    });
    body.append(...rows);
  }));
}
"""
