/**
 * The output ball: one logit vector of two classes, its loss, its entropy, and what the next gradient step does to its length.
 *
 * The mathematics comes first, as pure functions of plain arrays (any number of classes); a test compares them with the library.
 */

import {
  arrowPath, bar, button, format, frame, gapArrow, html, planeHandle, setAttributes, sliderRow, statusLine, svg, whenSeen,
} from "./kit.js";

/** The state that surprises: the sample of the paper's first figure is classified rightly, and still wants to grow. */
export const defaults = { z: [2.5, 1.2], label: 0, threshold: 2.0, clip: false, compact: false };
export const limits = { z: [-5, 5], label: [0, 1], threshold: [0.001, 1000] };

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/** ‖z‖. */
export const length = (z) => Math.hypot(...z);

/** log Σ exp(z), without overflow. */
export function logSumExp(z) {
  const top = Math.max(...z);
  return top + Math.log(z.reduce((sum, value) => sum + Math.exp(value - top), 0));
}

/** p = exp(z) / Σ exp(z). */
export function softmax(z) {
  const log = logSumExp(z);
  return z.map((value) => Math.exp(value - log));
}

/** Cross entropy L = −log p_y. */
export const loss = (z, label) => logSumExp(z) - z[label];

/** Entropy of the prediction, H = −Σ p log p, in nats. */
export function entropy(z) {
  const log = logSumExp(z);
  return -dot(softmax(z), z.map((value) => value - log));
}

/** ∂L/∂z = p − y. */
export const gradient = (z, label) => softmax(z).map((p, i) => p - (i === label ? 1 : 0));

/** A vector g at z in two parts: along z (radial) and across it (tangential). At z = 0 all of g is across. */
export function splitRadial(z, g) {
  const size = length(z);
  const along = size === 0 ? z.map(() => 0) : z.map((value) => (value / size) * (dot(z, g) / size));
  return { along, across: g.map((value, i) => value - along[i]) };
}

/** The partial norm: z inside the ball of radius δ, δ z/‖z‖ outside. */
export function partialNorm(z, threshold) {
  const size = length(z);
  return size <= threshold ? z : z.map((value) => (value / size) * threshold);
}

/** ∂/∂z of the loss after the partial norm: p − y inside; outside, the part across z of the clipped gradient, times δ/‖z‖. */
export function clippedGradient(z, label, threshold) {
  const size = length(z);
  const g = gradient(partialNorm(z, threshold), label);
  return size <= threshold ? g : splitRadial(z, g).across.map((value) => (value * threshold) / size);
}

/** How fast plain gradient descent lengthens z: −∂L/∂‖z‖ = (H − L)/‖z‖; 0 at z = 0. */
export function lengthPull(z, label) {
  const size = length(z);
  return size === 0 ? 0 : (entropy(z) - loss(z, label)) / size;
}

/** The margin z_y − z_other at which two classes have this loss. */
export const marginOfLoss = (value) => -Math.log(Math.expm1(value));

/** The ends of the line loss = entropy of two classes in the square [−side, side]²: the diagonal, where both are log 2. */
export const boundary = (side) => [[-side, -side], [side, side]];

/** All that the figure shows, as numbers. */
export function state({ z, label, threshold, clip }) {
  const outside = clip && length(z) > threshold;
  const output = clip ? partialNorm(z, threshold) : z;
  const g = clip ? clippedGradient(z, label, threshold) : gradient(z, label);
  const { along, across } = splitRadial(z, g);
  const negative = (v) => v.map((value) => -value);
  return {
    output, outside, length: length(z), loss: loss(output, label), entropy: entropy(output), correct: z[label] > z[1 - label],
    step: negative(g), along: negative(along), across: negative(across), pull: outside ? 0 : lengthPull(z, label),
  };
}

/** What is the case, in words, and where the length goes (1 grows, −1 shrinks, 0 rests). */
export function sentence(now) {
  if (now.outside && length(now.step) < 1e-9) {
    return now.correct
      ? ["straight at the label, outside the ball: nothing left to learn", 0]
      : ["wrong by a mile, and no gradient at all", 0];
  }
  if (now.outside) return ["outside the ball: the length gets no gradient", 0];
  if (now.length === 0) return ["at the origin: no length yet, so the whole step is across", 0];
  const gap = now.entropy - now.loss;
  if (Math.abs(gap) < 1e-9) return ["loss = entropy: the length rests", 0];
  return gap > 0 ? ["loss < entropy: the vector grows", 1] : ["loss > entropy: the vector shrinks", -1];
}

/** The state as one sentence with its numbers: what the picture is called, and what stands below it where no script runs. */
export function inWords({ z, label, threshold, clip }) {
  const now = state({ z, label, threshold, clip });
  const gap = now.entropy - now.loss;
  const case_ = Math.abs(gap) <= 1e-9 ? "equals" : gap > 0 ? "is below" : "is above";
  const end = now.outside ? `outside the ball of radius ${threshold} the length gets no gradient`
    : Math.abs(gap) <= 1e-9 ? "gradient descent leaves the length of z alone" : `gradient descent ${gap > 0 ? "lengthens" : "shortens"} z`;
  return `At z = (${z.map((value) => format(value)).join(", ")}) with class ${label + 1} true, the loss ${format(now.loss, 3)} ${case_} the `
    + `entropy ${format(now.entropy, 3)}: ${end}.`;
}

// ---- the picture: logits as coordinates, y upwards, the square [−VIEW, VIEW]² ----

const VIEW = 5.8;
const ENLARGED = 7; // the arrows are drawn this many times as long as the gradient, or as much as fits
const LEVELS = [0.03, 0.1, 0.3, 1.3, 2.5, 4, 5.5, 7, 8.5];
const at = ([x, y]) => `${x.toFixed(4)} ${(-y).toFixed(4)}`;
const lineThrough = (...points) => `M${points.map(at).join(" L")}`;
const toFrame = ([x, y]) => [x, y].map((value) => (value * VIEW * 1.5) / Math.hypot(x, y));

/** The line of equal loss at a signed distance from the diagonal; outside the ball the clip bends it into rays from the origin. */
function levelLine(distance, radius) {
  const point = (t) => [(distance + t) / Math.SQRT2, (t - distance) / Math.SQRT2];
  if (radius === Infinity) return lineThrough(point(-3 * VIEW), point(3 * VIEW));
  if (Math.abs(distance) >= radius) return "";
  const half = Math.sqrt(radius * radius - distance * distance);
  return lineThrough(toFrame(point(-half)), point(-half), point(half), toFrame(point(half)));
}

/** One side of the diagonal (below: z₁ > z₂), up to the ball when the clip is on. */
function sideOfBoundary(below, radius) {
  const [from, to] = boundary(radius === Infinity ? VIEW : radius / Math.SQRT2);
  if (radius === Infinity) return `${lineThrough(from, below ? [VIEW, -VIEW] : [-VIEW, VIEW], to)} Z`;
  return `M${at(from)} A${radius} ${radius} 0 0 ${below ? 0 : 1} ${at(to)} Z`;
}

/** How much the arrows are enlarged: as wished, less where they would leave the picture or cross the origin. */
function enlargement(z, vectors, wish) {
  const room = ([dx, dy]) => Math.min(
    ...[[z[0], dx], [z[1], dy]].map(([from, d]) => (d === 0 ? Infinity : (VIEW - 0.15 - Math.sign(d) * from) / Math.abs(d))));
  const inward = vectors.map((v) => (dot(v, z) < 0 && length(v) > 0 ? (0.95 * dot(z, z)) / -dot(v, z) : Infinity));
  return Math.max(0, Math.min(wish, ...vectors.map(room), ...inward));
}

function picture() {
  const part = (tag, attributes, style) => svg(tag, { ...attributes, style });
  const stroke = (colour, width, more = "") => `stroke: var(--lf-${colour}); stroke-width: ${width}; ${more}`;
  const fill = (colour, opacity = 1) => `fill: var(--lf-${colour}); fill-opacity: ${opacity}; stroke: none`;
  const parts = {
    grows: part("path", { class: "lf-grows" }, fill("method", 0.1)),
    shrinks: part("path", { class: "lf-shrinks" }, fill("muted", 0.1)),
    levels: LEVELS.map(() => part("path", {}, stroke("ink", 1, "stroke-opacity: .1"))),
    axes: part("path", { d: `M${-VIEW} 0 H${VIEW} M0 ${-VIEW} V${VIEW}` }, stroke("muted", 1, "stroke-opacity: .8")),
    boundary: part("path", { class: "lf-boundary" }, stroke("muted", 1.5, "stroke-dasharray: 6 5")),
    ball: part("circle", { cx: 0, cy: 0, class: "lf-ball" }, stroke("method", 2, "stroke-dasharray: 0 5; stroke-linecap: round")),
    vector: part("path", {}, stroke("ink", 2.5)),
    clipped: part("path", {}, stroke("method", 4)),
    tip: part("circle", { r: 0.13 }, fill("method")),
  };
  for (const [name, colour, width] of [["across", "muted", 2], ["step", "ink", 2], ["along", "method", 3]]) {
    parts[name] = { shaft: part("path", {}, stroke(colour, width)), head: part("path", {}, fill(colour)) };
  }
  const nodes = Object.values(parts).flat().flatMap((node) => (node.shaft ? [node.shaft, node.head] : [node]));
  const image = svg("svg", { viewBox: [-VIEW, -VIEW, 2 * VIEW, 2 * VIEW].join(" "), role: "img" }, ...nodes);
  return { image, parts };
}

/** A word in the picture, hung at one of its edges: sides is for example { left: 3, top: 3 }, in percent. */
function tag(sides, attributes = {}) {
  const node = html("span", { class: "lf-tag", "aria-hidden": "true", ...attributes });
  for (const [side, percent] of Object.entries(sides)) node.style[side] = `${percent}%`;
  if ("right" in sides) node.style.textAlign = "right";
  return node;
}

function drawArrow(target, from, to) {
  const path = arrowPath(from, to);
  setAttributes(target.shaft, { d: path.shaft });
  setAttributes(target.head, { d: path.head });
}

function drawPicture({ image, parts, tags }, { z, label, threshold, clip, compact }, now) {
  const radius = clip ? threshold : Infinity;
  setAttributes(parts.grows, { d: sideOfBoundary(label === 0, radius) });
  setAttributes(parts.shrinks, { d: sideOfBoundary(label === 1, radius) });
  LEVELS.forEach((value, i) => {
    const distance = ((label === 0 ? 1 : -1) * marginOfLoss(value)) / Math.SQRT2;
    setAttributes(parts.levels[i], { d: levelLine(distance, radius) });
  });
  setAttributes(parts.boundary, { d: lineThrough(...boundary(clip ? threshold / Math.SQRT2 : VIEW)) });
  setAttributes(parts.ball, { r: threshold });
  setAttributes(parts.vector, { d: lineThrough([0, 0], z), "stroke-opacity": now.outside ? 0.35 : 1 });
  setAttributes(parts.clipped, { d: now.outside ? lineThrough([0, 0], now.output) : "" });
  setAttributes(parts.tip, { cx: now.output[0], cy: -now.output[1], visibility: now.outside ? "visible" : "hidden" });

  const vectors = compact ? [now.along] : [now.step, now.along];
  const scale = enlargement(z, vectors, compact ? 2 * ENLARGED : ENLARGED);
  const end = (vector) => z.map((value, i) => value + scale * vector[i]);
  drawArrow(parts.along, z, end(now.along));
  drawArrow(parts.across, end(now.along), compact ? end(now.along) : end(now.step));
  drawArrow(parts.step, z, compact ? z : end(now.step));

  const names = ["loss > entropy:\nit shrinks", "loss < entropy:\nit grows"];
  tags.upper.textContent = clip ? "outside the ball:\nno pull on the length" : names[label];
  tags.lower.textContent = clip ? "" : names[1 - label];
  tags.first.innerHTML = `z<sub>1</sub>${label === 0 ? "\ntrue class" : ""}`;
  tags.second.innerHTML = `z<sub>2</sub>${label === 1 ? "\ntrue class" : ""}`;
  tags.radius.textContent = `δ = ${format(threshold, 1)}`;
  tags.radius.style.top = `${50 + (50 * Math.min(threshold + 0.12, VIEW - 0.5)) / VIEW}%`;
  setAttributes(image, { "aria-label": inWords({ z, label, threshold, clip }) });
  return scale;
}

const describe = (z, now) => `z = (${format(z[0])}, ${format(z[1])}), length ${format(now.length)}, ${sentence(now)[0]}`;

/** The face of the figure, as anywidget and the book's loader call it; returns what takes it down again. */
function render({ model, el }) {
  const read = () => ({ ...Object.fromEntries(Object.keys(defaults).map((key) => [key, model.get(key)])) });
  const write = (changes) => {
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    model.save_changes();
  };
  const start = read();
  const { compact } = start;
  const root = frame(el, { name: "output-ball", method: "pon", compact, label: "Live figure: loss, entropy and the length of a logit vector" });

  const { image, parts } = picture();
  const tags = {
    upper: tag({ left: 2.5, top: 2.5 }, { "data-strong": true }), lower: tag({ right: 2.5, bottom: 2 }, { "data-strong": true }),
    first: tag({ right: 2.5, top: 50.8 }), second: tag({ left: 52, top: 2.5 }), radius: tag({ left: 51.5 }, { "data-method": true }),
  };
  if (compact) parts.ball.style.display = tags.radius.style.display = "none";
  const plane = html("div", { class: "lf-plane" }, image, ...Object.values(tags));
  const handle = planeHandle({
    plane, view: VIEW, limit: limits.z[1], grid: 0.05, step: 0.1, names: ["first logit", "second logit"], onMove: (z) => write({ z }),
  });

  const full = 1.5; // nats; a larger loss runs off the track
  const bars = { loss: bar({ label: "loss", full, kind: "first" }), entropy: bar({ label: "entropy", full, kind: "second" }) };
  const gap = gapArrow({ label: "entropy − loss", full });
  const status = statusLine();
  const fact = html("p", { class: "lf-fact" });
  const facts = (texts) => fact.replaceChildren(...texts.map((text) => html("span", {}, text)));
  const slider = sliderRow({ label: "threshold δ", min: 0.5, max: 5, step: 0.1, onInput: (threshold) => write({ threshold }) });
  const clip = button("Clip at δ", () => write({ clip: !model.get("clip") }), { pressed: start.clip });
  const swap = button("Swap the label", () => write({ label: 1 - model.get("label") }));
  const reset = button("Reset", () => write({ ...start, z: [...start.z] }));
  const say = html("p", { class: "lf-say" });
  say.innerHTML = compact ? "Drag the logit vector across the dashed line and watch the arrow." : "Drag the logit vector. Its next gradient step splits into a part <b class='lf-method'>along</b> the vector, "
    + "which changes its length, and a part <b class='lf-across'>across</b> it, which changes the prediction.";
  const numbers = html("div", { class: "lf-rows" }, bars.loss.node, bars.entropy.node, ...(compact ? [] : [gap.node]));
  const panel = html("div", { class: "lf-panel" }, ...(compact
    ? [say, numbers, status.node]
    : [say, numbers, status.node, fact, slider.node, html("div", { class: "lf-buttons" }, clip, swap, reset)]));
  root.append(html("div", { class: "lf-body" }, plane, panel));

  const draw = () => {
    const shown = read();
    const now = state(shown);
    const scale = drawPicture({ image, parts, tags }, shown, now);
    handle.set(shown.z, describe(shown.z, now));
    bars.loss.set(now.loss);
    bars.entropy.set(now.entropy);
    gap.set(now.loss, now.entropy, now.outside);
    status.set(...sentence(now));
    facts([`z = (${format(shown.z[0])}, ${format(shown.z[1])})`, `‖z‖ = ${format(now.length)}`,
      `pull on the length ${format(now.pull, 3, { sign: true })}`, `arrows × ${format(scale, 1)}`]);
    slider.set(shown.threshold);
    setAttributes(clip, { "aria-pressed": String(shown.clip) });
  };
  const events = Object.keys(defaults).map((key) => `change:${key}`);
  for (const event of events) model.on(event, draw);
  const forget = whenSeen(root);
  draw();
  return () => {
    forget();
    for (const event of events) model.off(event, draw);
  };
}

export default { render };
