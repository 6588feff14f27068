/**
 * The valley: along the ray of a logit vector the loss falls to one floor, which lies where it crosses the entropy.
 *
 * The mathematics comes first, as pure functions of plain arrays; a test compares them with the library. The scale s is drawn on a
 * logarithmic axis, because there the slope of the loss is s·dL/ds, and that is loss − entropy.
 */

import {
  arrowPath, axis, bar, button, choice, curveHandle, drawOnChange, format, frame, gapArrow, html, plot, setAttributes, sliderRow,
  statusLine, svg, tag,
} from "./kit.js";

/** The state that surprises: the sample is classified wrongly, and its vector still grows. */
export const defaults = { sample: "narrowly wrong", scale: 1.0 };
export const limits = { sample: ["right", "narrowly wrong", "confidently wrong"], scale: [0.05, 8] };

/** The samples: logits at s = 1, the first class true. Their floors lie at infinity, near s = 2, and at 0. */
export const logits = {
  "right": [1.2, 0.2, -0.4],
  "narrowly wrong": [0.4, 0.5, -0.7],
  "confidently wrong": [-0.3, 1.3, -0.4],
};
const LABEL = 0;

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/** log p = z − log Σ exp(z), without overflow. */
export function logSoftmax(z) {
  const top = Math.max(...z);
  const log = top + Math.log(z.reduce((sum, value) => sum + Math.exp(value - top), 0));
  return z.map((value) => value - log);
}

/** At s·z: the probabilities, the loss L, the entropy H, and the slope s·dL/ds, computed as Σ pᵢ s zᵢ − s z_y. It equals L − H. */
export function along(z, label, scale) {
  const scaled = z.map((value) => scale * value);
  const logs = logSoftmax(scaled);
  const probs = logs.map(Math.exp);
  return { probs, loss: -logs[label], entropy: -dot(probs, logs), slope: dot(probs, scaled) - scaled[label] };
}

/** The s at which L(sz) is lowest: 0 where z_y is not above the mean, ∞ where no logit is above z_y, else the zero of the slope. */
export function floor(z, label) {
  if (z[label] <= z.reduce((sum, value) => sum + value, 0) / z.length) return 0;
  if (z[label] === Math.max(...z)) return Infinity;
  let [low, high] = [0, 1];
  while (along(z, label, high).slope < 0) high *= 2;
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (along(z, label, middle).slope < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The nearest scale that can be chosen: within the limits, on a grid of 1/64 octave that holds 1, 2, 4 and 8. */
export function snap(scale) {
  const onGrid = 2 ** (Math.round(64 * Math.log2(scale)) / 64);
  return Number(Math.max(limits.scale[0], Math.min(limits.scale[1], onGrid)).toPrecision(6));
}

/** All that the figure shows, as numbers. What rounds to a slope of 0.000 counts as the floor. */
export function state({ sample, scale }) {
  const z = logits[sample];
  const now = along(z, LABEL, scale);
  return { ...now, z, floor: floor(z, LABEL), direction: Math.abs(now.slope) < 5e-4 ? 0 : -Math.sign(now.slope) };
}

/** What is the case, in words, and where the length goes (1 grows, −1 shrinks, 0 rests). */
export function sentence({ direction }) {
  const words = { 1: "loss < entropy: the vector grows", 0: "loss = entropy: the vector rests", [-1]: "loss > entropy: the vector shrinks" };
  return [words[direction], direction];
}

/** The state as one sentence with its numbers. */
export function inWords({ sample, scale }) {
  const now = state({ sample, scale });
  const case_ = { 1: "is below", 0: "equals", [-1]: "is above" }[now.direction];
  const end = { 1: "lengthens the vector", 0: "leaves its length alone", [-1]: "shortens the vector" }[now.direction];
  const place = now.floor === 0 ? "at s = 0" : now.floor === Infinity ? "at infinity" : `at s = ${format(now.floor)}, where the two cross`;
  return `Loss and entropy along the ray of a sample that is ${sample}, (${now.z.map((value) => format(value, 1)).join(", ")}) with class 1 `
    + `true: at s = ${format(scale)} the loss ${format(now.loss, 3)} ${case_} the entropy ${format(now.entropy, 3)}, so gradient descent ${end}; `
    + `the loss is lowest ${place}.`;
}

// ---- the picture ----

const S = axis(0.045, 12, { log: true });
const S_TICKS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10].map((value) => [value, String(value)]);
const GUESS = [Math.log(3), "log 3"]; // both curves begin at the loss of a guess
/** Of each sample: its upright axis; where its words stand (s, height, shift); what is said about the floor. */
const FACES = {
  "right": { upright: [axis(0, 1.4), [[0, "0"], [0.5, "0.5"], GUESS]], loss: [0.6, 0.47, "-100%, 12px"], entropy: [0.95, 0.99, "8px, -100%"],
    floor: [12, 0.72, "-100%, -100%"], says: "the floor lies\nat infinity →" },
  "narrowly wrong": { upright: [axis(0.5, 1.3), [[0.5, "0.5"], [0.7, "0.7"], [0.9, "0.9"], GUESS, [1.3, "1.3"]]],
    loss: [0.14, 1.02, "-50%, 24px"], entropy: [0.14, 1.1, "-50%, calc(-100% - 12px)"], floor: [2, 0.5, "calc(-100% - 8px), calc(-100% - 8px)"], says: "the floor:\nhere loss = entropy" },
  "confidently wrong": { upright: [axis(0, 4), [[0, "0"], GUESS, [2, "2"], [3, "3"], [4, "4"]]], loss: [1.1, 3.1, "-100%, -50%"], entropy: [0.16, 0.62, "-50%, 0"],
    floor: [0.045, 2.5, "10px, -50%"], says: "← the floor\nlies at s = 0" },
};
const ARROW = 66; // its length in the units of the picture; shorter where it would run out of it or the slope vanishes

function picture() {
  const stroke = (colour, width, more = "") => ({ style: `stroke: var(--lf-${colour}); stroke-width: ${width}; ${more}` });
  const fill = (opacity) => ({ style: `fill: var(--lf-method); fill-opacity: ${opacity}; stroke: none` });
  const parts = {
    triangle: svg("path", { class: "lf-triangle", ...fill(0.13) }),
    plumb: svg("path", stroke("muted", 1, "stroke-dasharray: 2 4")),
    tangent: svg("path", stroke("method", 1.25)),
    entropy: svg("path", { class: "lf-entropy", ...stroke("muted", 2, "stroke-dasharray: 6 5") }),
    loss: svg("path", { class: "lf-loss", ...stroke("ink", 2.5) }),
    gap: svg("path", { class: "lf-gap-line", ...stroke("method", 3) }),
    cross: svg("circle", { r: 5.5, style: "fill: var(--lf-page); stroke: var(--lf-muted); stroke-width: 2" }),
    shaft: svg("path", stroke("method", 3)),
    head: svg("path", { class: "lf-head", ...fill(1) }),
  };
  const face = plot({ x: S, xTicks: S_TICKS, xName: "scale s of the logit vector", yName: "loss and entropy, in nats" }, ...Object.values(parts));
  const tags = { loss: tag("loss L(sz)", { "data-strong": true }), entropy: tag("entropy H(sz)"), floor: tag(""), above: tag("", { "data-strong": true }) };
  tags.loss.style.color = "var(--lf-ink)";
  face.node.append(...Object.values(tags));
  return { ...face, parts, tags };
}

/** What stands still while the handle moves: curves, words, the crossing. */
function drawSample({ parts, tags, set, line, hang, at }, sample) {
  const { z, floor: lowest } = state({ sample, scale: 1 });
  const face = FACES[sample];
  set(...face.upright);
  const points = Array.from({ length: 161 }, (_, i) => S.value(i / 160)).map((scale) => [scale, along(z, LABEL, scale)]);
  setAttributes(parts.loss, { d: line(points.map(([scale, { loss }]) => [scale, loss])) });
  setAttributes(parts.entropy, { d: line(points.map(([scale, { entropy }]) => [scale, entropy])) });
  const crosses = lowest > 0 && lowest < Infinity;
  const point = crosses ? [lowest, along(z, LABEL, lowest).loss] : [1, 1];
  const [cx, cy] = at(point);
  setAttributes(parts.cross, { cx, cy, visibility: crosses ? "visible" : "hidden" });
  setAttributes(parts.plumb, { d: crosses ? line([point, [lowest, face.upright[0].from]]) : "" });
  for (const name of ["loss", "entropy", "floor"]) hang(tags[name], face[name].slice(0, 2), face[name][2]);
  tags.floor.textContent = face.says;
  tags.floor.style.textAlign = face.floor[2].startsWith("10px") ? "left" : "right";
}

/**
 * The triangle between the curves: from the loss to the entropy at s (its side is the gap), and back by a factor e (a width of 1).
 * Its long side is the tangent of the loss. Returns how high the handle stands, 0 to 1.
 */
function drawPoint({ parts, tags, line, hang, at }, { sample, scale }, now) {
  const [upright] = FACES[sample].upright;
  const [here, below, back] = [[scale, now.loss], [scale, now.entropy], [scale / Math.E, now.entropy]];
  setAttributes(parts.triangle, { d: `${line([here, below, back])} Z` });
  setAttributes(parts.tangent, { d: line([here, back]) });
  setAttributes(parts.gap, { d: line([here, below]) });
  const off = now.loss > upright.to;
  const [x, y] = at(here);
  const [dx, dy] = at([scale / Math.E, now.entropy]).map((value, i) => now.direction * ([x, y][i] - value));
  const room = Math.min(dy > 0 ? (at([scale, upright.from])[1] - y) / dy : Infinity, dx < 0 ? x / -dx : Infinity);
  const wish = (ARROW * Math.min(1, Math.abs(now.slope) / 0.04)) / Math.hypot(dx, dy);
  const long = off || now.direction === 0 ? 0 : Math.max(0, Math.min(wish, room));
  const arrow = arrowPath([x, -y], [x + long * dx, -y - long * dy], 17);
  setAttributes(parts.shaft, { d: arrow.shaft });
  setAttributes(parts.head, { d: arrow.head });
  tags.above.textContent = off ? `↑ loss ${format(now.loss, 1)}` : "";
  hang(tags.above, [scale, upright.to], "-50%, calc(-100% - 24px)");
  return upright.share(now.loss);
}

/** The face of the figure, as anywidget and the book's loader call it; returns what takes it down again. */
function render({ model, el }) {
  const read = () => ({ sample: model.get("sample"), scale: model.get("scale") });
  const write = (changes) => {
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    model.save_changes();
  };
  const move = (scale) => write({ scale: snap(scale) });
  const start = read();
  const root = frame(el, { name: "valley", method: "pon", label: "Live figure: loss and entropy along the ray of a logit vector" });
  const drawing = picture();
  const handle = curveHandle({
    plane: drawing.node, x: S, name: "scale s along the curve", nudge: (scale, steps) => scale * 2 ** (steps / 16), onMove: move,
  });

  const sample = choice({ label: "the sample is", words: limits.sample, onChoose: (word) => write({ sample: word }) });
  const probs = logits.right.map((_, i) => bar({
    label: `class ${i + 1}${i === LABEL ? ", true" : ""}`, full: 1, kind: i === LABEL ? "first" : "second", digits: 2,
  }));
  const full = 1.5; // nats; a larger loss runs off the track
  const bars = { loss: bar({ label: "loss", full, kind: "first" }), entropy: bar({ label: "entropy", full, kind: "second" }) };
  const gap = gapArrow({ label: "entropy − loss", full });
  const status = statusLine();
  const slider = sliderRow({ // moves log₂ s; its ends lie on the grid, the limits cut them
    label: "scale s", min: -4.375, max: 3, step: 0.0625, says: (log) => format(2 ** log), onInput: (log) => move(2 ** log),
  });
  const reset = button("Reset", () => write(start));
  const say = html("p", { class: "lf-say" });
  say.innerHTML = "Drag the point: all logits are multiplied by s. The <b class='lf-method'>triangle</b> between the curves is always a "
    + "factor e wide, and its long side is the tangent. So the loss falls at the rate of the gap, <b>entropy\u00a0−\u00a0loss</b>.";
  const rows = (...parts) => html("div", { class: "lf-rows" }, ...parts.map((part) => part.node));
  root.append(html("div", { class: "lf-body" }, drawing.node, html("div", { class: "lf-panel" }, say, sample.node, rows(...probs),
    rows(bars.loss, bars.entropy, gap), status.node, slider.node, html("div", { class: "lf-buttons" }, reset))));

  let drawn = null;
  const draw = () => {
    const shown = read();
    const now = state(shown);
    if (drawn !== shown.sample) drawSample(drawing, (drawn = shown.sample));
    const height = drawPoint(drawing, shown, now);
    setAttributes(drawing.image, { "aria-label": inWords(shown) });
    handle.set(shown.scale, height, `s = ${format(shown.scale)}, loss ${format(now.loss, 3)}, entropy ${format(now.entropy, 3)}`);
    sample.set(shown.sample);
    probs.forEach((row, i) => row.set(now.probs[i]));
    bars.loss.set(now.loss);
    bars.entropy.set(now.entropy);
    gap.set(now.loss, now.entropy, false);
    status.set(...sentence(now));
    slider.set(Math.log2(shown.scale));
  };
  return drawOnChange({ model, names: Object.keys(defaults), root, draw });
}

export default { render };
