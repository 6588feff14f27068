/**
 * A curve to draw before it is shown: the reader draws how a quantity goes on, then the recorded curve appears beside the reader's.
 *
 * The line is 31 points at equal distances; the first is given. `drawn` and `reached` are the reader's points and how far they go,
 * `shown` is whether the recorded curves, `truth` and (where it has a label) `other`, are open.
 */

import { button, drawOnChange, format, frame, html, planeHandle, setAttributes, svg } from "./kit.js";

/** A stone thrown upwards at 15 m/s where g is 10 m/s²: 15 t − 5 t². A chapter puts its recorded runs in place of it. */
export const defaults = {
  name_x: "t =", name_y: "height of a stone thrown upwards, metres after t seconds", largest_x: 3.0, largest_y: 20.0,
  truth: [0.0, 1.45, 2.8, 4.05, 5.2, 6.25, 7.2, 8.05, 8.8, 9.45, 10.0, 10.45, 10.8, 11.05, 11.2, 11.25, 11.2, 11.05, 10.8, 10.45, 10.0, 9.45,
    8.8, 8.05, 7.2, 6.25, 5.2, 4.05, 2.8, 1.45, 0.0],
  label: "15 t − 5 t²", colour: "muted", dash: "",
  other: [0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  other_label: "", other_colour: "ink", other_dash: "", note: "",
  drawn: [0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  reached: 0, shown: false,
};
export const limits = {
  largest_x: [1e-9, 1e12], largest_y: [1e-9, 1e12], truth: [0, 1e12], other: [0, 1e12], drawn: [0, 1e12], reached: [0, 30],
};

const LAST = defaults.truth.length - 1;

/** The reader's points with the given first one. */
export const lineOf = ({ drawn, truth }) => drawn.map((value, i) => (i === 0 ? truth[0] : value));

/** The line after a stroke from one point to another, straight between them; the first point stays. */
export function stroke(line, from, to, value) {
  const [step, span] = [Math.sign(to - from), Math.abs(to - from)];
  const next = [...line];
  for (let k = span === 0 ? 0 : 1; k <= span; k += 1) {
    const i = from + k * step;
    if (i > 0) next[i] = span === 0 ? value : line[from] + ((value - line[from]) * k) / span;
  }
  return next;
}

/** 0 and the round numbers up to the largest, six at most. */
export function ticks(largest) {
  const power = 10 ** Math.floor(Math.log10(largest / 5));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= (largest / 5) * (1 - 1e-9));
  return Array.from({ length: Math.floor(largest / step + 1e-9) + 1 }, (_, k) => Number((k * step).toPrecision(12)));
}

const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);
const digits = (largest) => Math.max(0, Math.min(8, 2 - Math.ceil(Math.log10(largest))));
const sayX = (values, i) => `${values.name_x} ${format((values.largest_x * i) / LAST, digits(values.largest_x))}`;
const sayY = (values, value) => format(value, digits(values.largest_y) + 1);
const recorded = (values) => [
  { points: values.truth, label: values.label, colour: values.colour, dash: values.dash },
  { points: values.other, label: values.other_label, colour: values.other_colour, dash: values.other_dash },
].filter((_, i) => i === 0 || values.other_label !== "");

/** The reader's number beside the recorded ones, at the last point that the reader drew; without a line, the recorded ones. */
export function compared(values) {
  const at = values.reached || LAST;
  const was = (i) => recorded(values).map(({ points, label }) => `${sayY(values, points[i])} for ${label}`).join(", ");
  if (values.reached === 0) return `At ${sayX(values, LAST)} it was ${was(LAST)}.`;
  const you = lineOf(values)[at];
  const gap = sayY(values, Math.abs(values.truth[at] - you));
  const side = Number(gap) === 0 ? "as you drew it" : `${gap} ${values.truth[at] > you ? "above" : "below"} your line`;
  const first = `${sayY(values, values.truth[at])} for ${values.label}, ${side}`;
  const others = recorded(values).slice(1).map(({ points, label }) => `; ${sayY(values, points[at])} for ${label}`).join("");
  const rest = at < LAST ? ` At ${sayX(values, LAST)} it was ${was(LAST)}.` : "";
  return `At ${sayX(values, at)} you said ${sayY(values, you)}. It was ${first}${others}.${rest}`;
}

/** What is the case, in a sentence or two. */
export function sentence(values, pen) {
  if (values.shown) return compared(values);
  const here = sayY(values, lineOf(values)[pen]);
  if (values.reached === 0) return `The first point is given: ${here} at ${sayX(values, 0)}.`;
  if (pen < values.reached) return `Your line at ${sayX(values, pen)}: ${here}.`;
  return pen < LAST ? `Your line has come to ${sayX(values, pen)}: ${here}. Draw on.` : `Your line ends at ${here}.`;
}

/** A recorded curve in words: where it begins and ends, and its top or bottom where that lies between. */
function course(values, { points, label }) {
  const [begin, end] = [points[0], points[LAST]];
  const [top, bottom] = [Math.max(...points), Math.min(...points)];
  const far = 0.03 * values.largest_y;
  const mention = (word, value) => ` with its ${word} ${sayY(values, value)} at ${sayX(values, points.indexOf(value))},`;
  const turns = (top > Math.max(begin, end) + far ? mention("top", top) : "") + (bottom < Math.min(begin, end) - far ? mention("bottom", bottom) : "");
  return ` ${capital(label)}: from ${sayY(values, begin)}${turns ? `,${turns}` : ""} to ${sayY(values, end)}.`;
}

/** The picture in words; the recorded curves only where they are open. */
export function inWords(values, open) {
  const yours = values.reached ? ` Your line goes to ${sayY(values, lineOf(values)[values.reached])} at ${sayX(values, values.reached)}.` : "";
  const curves = open ? recorded(values).map((curve) => course(values, curve)).join("") + (values.note ? ` ${values.note}` : "")
    : ` The first point is ${sayY(values, values.truth[0])}; the recorded curve is not shown yet.`;
  return `${capital(values.name_y)}, from ${sayX(values, 0)} to ${sayX(values, LAST)}.${yours}${curves}`;
}

// ---- the picture: percent of the plane, y downwards; the plot leaves room at its sides for the names of the axes ----

const ROOM = { left: 11, right: 3, top: 12, bottom: 12 };
const GRID = 1 / 150; // of the pen, in a plane from −1 to 1; LAST steps of ten of them cross it
const across = (part) => ROOM.left + part * (100 - ROOM.left - ROOM.right);
const down = (part) => 100 - ROOM.bottom - part * (100 - ROOM.top - ROOM.bottom);
const path = (points, last, largest) =>
  points.slice(0, last + 1).map((y, i) => `${i ? "L" : "M"}${across(i / LAST).toFixed(3)} ${down(y / largest).toFixed(3)}`).join(" ");

function tag(text, sides, more = {}) {
  const node = html("span", { class: "lf-tag", "aria-hidden": "true", ...more }, text);
  for (const [side, value] of Object.entries(sides)) node.style[side] = typeof value === "number" ? `${value}%` : value;
  return node;
}

/** The names of both axes, their numbers, and a line at each number of the upright one. */
function axes({ name_x, name_y, largest_x, largest_y }) {
  const plain = (value) => format(value, Math.max(0, (String(value).split(".")[1] ?? "").length));
  const [ys, xs] = [ticks(largest_y), ticks(largest_x).filter((x) => x < 0.8 * largest_x)];
  const lines = ys.slice(1).map((y) => `M${across(0)} ${down(y / largest_y)} H${across(1)}`).join(" ");
  const grid = svg("path", { d: lines, style: "stroke: var(--lf-rule); stroke-width: 1" });
  const frame_ = svg("path", { d: `M${across(0)} ${down(1)} V${down(0)} H${across(1)}`, style: "stroke: var(--lf-muted); stroke-width: 1" });
  const below = { top: 100 - ROOM.bottom + 1.5 };
  return {
    lines: [grid, frame_],
    tags: [
      tag(name_y, { left: 1, top: 1.5, whiteSpace: "normal" }),
      ...ys.map((y) => tag(plain(y), { right: 101.5 - ROOM.left, top: down(y / largest_y), transform: "translateY(-50%)" })),
      ...xs.map((x) => tag(plain(x), { ...below, left: across(x / largest_x), transform: "translateX(-50%)" })),
      tag(`${name_x} ${plain(largest_x)}`, { ...below, right: ROOM.right }),
    ],
  };
}

/** Where the names at the lines' ends stand, in percent from above: over the line as far as a name is long, no two in one place. */
export function places(ends) {
  const wanted = ends.map(({ before, end }, i) => ({ i, at: 100 * (1 - Math.max(before, end)) - 5.5 }));
  wanted.sort((a, b) => a.at - b.at);
  wanted.forEach((one, k) => { one.at = Math.max(one.at, k === 0 ? 3 : wanted[k - 1].at + 9); });
  for (let k = wanted.length - 1; k >= 0; k -= 1) wanted[k].at = Math.min(wanted[k].at, k === wanted.length - 1 ? 96 : wanted[k + 1].at - 9);
  return wanted.sort((a, b) => a.i - b.i).map(({ at }) => at);
}

/** The face of the figure, as anywidget, the book's loader and `still.js` call it; returns what takes it down again. */
function render({ model, el, still = false }) {
  const read = () => Object.fromEntries(Object.keys(defaults).map((key) => [key, model.get(key)]));
  const write = (changes) => {
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    model.save_changes();
  };
  let pen = model.get("reached"); // the point that the pen is at
  let fresh = false; // a stroke begins

  const root = frame(el, { name: "draw-curve", label: "Live figure: draw a curve, then see the recorded one" });
  const image = svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img" });
  const plot = html("div", { style: `position: absolute; inset: ${ROOM.top}% ${ROOM.right}% ${ROOM.bottom}% ${ROOM.left}%` });
  const signs = html("div");
  const plane = html("div", { class: "lf-plane", style: "aspect-ratio: 1.45; cursor: auto" }, image, signs, plot);
  plot.style.cursor = "crosshair";
  plot.addEventListener("pointerdown", () => { fresh = true; });
  const handle = planeHandle({
    plane: plot, view: 1, limit: 1, grid: GRID, step: 10 * GRID, names: ["pen, along the axis", "pen, height"],
    onMove: ([x, y]) => {
      const values = read();
      if (values.shown) return;
      const line = lineOf(values);
      const at = Math.round(((x + 1) / 2) * LAST);
      const level = Math.abs(y - (2 * line[pen]) / values.largest_y + 1) < 0.51 * GRID;
      const value = level ? line[pen] : ((y + 1) / 2) * values.largest_y;
      const byKey = !fresh && !handle.node.getAttribute("class").includes("lf-held");
      const from = fresh ? Math.min(at, values.reached) : pen;
      const before = pen;
      [pen, fresh] = [at, false];
      if (byKey && level && at <= values.reached) draw(); // keys walk along the line that is there
      else if (at > 0 || before > 0) write({ reached: Math.max(values.reached, at), drawn: stroke(line, from, at, value) });
    },
  });

  const say = html("p", { class: "lf-say" });
  const status = html("p", { class: "lf-status", role: "status", "aria-live": "polite", style: "display: block" });
  const note = html("p", { class: "lf-fact lf-recorded" });
  const show = button("", () => {
    if (!model.get("shown")) return write({ shown: true });
    pen = 0;
    return write({ shown: false, reached: 0, drawn: defaults.drawn.slice() });
  });
  root.append(html("div", { class: "lf-body" }, plane,
    html("div", { class: "lf-panel" }, say, status, html("div", { class: "lf-buttons" }, show), note)));

  const draw = () => {
    const values = read();
    const { largest_y, reached, shown, truth } = values;
    pen = Math.min(pen, reached);
    const line = lineOf(values);
    const { lines, tags } = axes(values);
    const curve = (points, last, colour, width, more) => svg("path", {
      d: path(points, last, largest_y), style: `stroke: ${colour}; stroke-width: ${width}; stroke-linejoin: round; stroke-linecap: round`, ...more,
    });
    const inColour = (name) => `var(--luc-${name}, var(--lf-ink))`;
    const curves = recorded(values).map(({ points, colour, dash }) =>
      curve(points, LAST, inColour(colour), 2.5, { class: "lf-recorded", "stroke-dasharray": dash || null }));
    const first = svg("path", { d: `${path(truth, 0, largest_y)} h.001`, style: "stroke: var(--lf-ink); stroke-width: 9; stroke-linecap: round" });
    image.replaceChildren(...lines, ...curves, curve(line, reached, "var(--lf-ink)", 3, { class: "lf-yours" }), first);

    const ends = [
      ...recorded(values).map(({ points, label, colour }) => ({ points, label, last: LAST, color: inColour(colour), of: "lf-tag lf-recorded" })),
      ...(shown && reached > 0 ? [{ points: line, label: "you", last: reached, color: "var(--lf-ink)", of: "lf-tag lf-you" }] : []),
    ];
    const heights = places(ends.map(({ points, last }) => ({ before: points[Math.floor(0.8 * last)] / largest_y, end: points[last] / largest_y })));
    const names = ends.map(({ label, last, color, of }, i) => tag(label, {
      top: down(1 - heights[i] / 100), transform: "translateY(-50%)", color, background: "color-mix(in srgb, var(--lf-page) 70%, transparent)",
      ...(last > 0.6 * LAST ? { right: 100 - across(last / LAST) } : { left: across(last / LAST) }),
    }, { class: of, "data-strong": true }));
    signs.replaceChildren(...tags, ...names);

    setAttributes(root, { "data-shown": shown });
    setAttributes(image, { "aria-label": inWords(values, shown || still) });
    handle.set([(2 * pen) / LAST - 1, (2 * line[pen]) / largest_y - 1], `${sayX(values, pen)}, ${sayY(values, line[pen])}`);
    handle.node.style.display = shown || still ? "none" : "";
    say.textContent = shown ? (reached ? "Your line stays beside what happened." : "This is what happened.")
      : `Draw how it goes on to ${sayX(values, LAST)}: drag the pen, tap, or use the arrow keys.`;
    note.textContent = values.note;
    show.textContent = shown ? "Draw again" : reached ? "Show what happened" : "Show it without drawing";
    const words = sentence(values, pen);
    if (status.textContent !== words) status.textContent = words;
  };
  return drawOnChange({ model, names: Object.keys(defaults), root, draw });
}

export default { render };
