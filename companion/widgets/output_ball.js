/**
 * The output ball: one logit vector of two classes, its loss, its entropy, and what gradient steps do to its length.
 *
 * The mathematics comes first, as pure functions of plain arrays (any number of classes); a test compares them with the library.
 */

import {
  bar, button, drawArrow, drawOnChange, format, frame, gapArrow, html, lineThrough, planeHandle, playButton, setAttributes, setText,
  sliderRow, squeezed, statusLine, svg, tagAt, ticks, trail, visiblePart,
} from "./kit.js";

/** The state that surprises: the sample of the paper's first figure is classified rightly, and still wants to grow. */
export const defaults = { z: [2.5, 1.2], label: 0, threshold: 2.0, clip: false, rate: 1.0, compact: false };
export const limits = { z: [-5, 5], label: [0, 1], threshold: [0.001, 1000], rate: [0.01, 100] };

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

/** z after a step of plain gradient descent, z − h ∂L/∂z with h = `rate`; with the clip on, of the loss after the partial norm. */
export function descend({ z, label, threshold, clip, rate }) {
  const g = clip ? clippedGradient(z, label, threshold) : gradient(z, label);
  return z.map((value, i) => value - rate * g[i]);
}

/** Whether z lies where the figure can show it. */
export const inside = (z) => z.every((value) => limits.z[0] <= value && value <= limits.z[1]);

/** Why it makes no sense to go on from here, in words; nothing where it does. */
export function halt(shown) {
  const next = descend(shown);
  if (!inside(next)) return "the next step would leave the picture";
  return length(next.map((value, i) => value - shown.z[i])) < 1e-3 ? "the next step is shorter than 0.001" : "";
}

/** What is the case, in words, and where the length goes (1 grows, −1 shrinks, 0 rests). */
export function sentence(now) {
  if (now.outside && length(now.step) < 1e-9) {
    return [now.correct ? "straight at the label, outside the ball: nothing left to learn" : "wrong by a mile, and no gradient at all", 0];
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
const ENLARGED = 4; // a step's arrow is 4 √step long, those of its parts in proportion: always this, and short steps are still seen
const LEVELS = [0.03, 0.1, 0.3, 1.3, 2.5, 4, 5.5, 7, 8.5];
const at = ([x, y]) => `${x.toFixed(4)} ${(-y).toFixed(4)}`;
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

function picture(walk) {
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
    trail: walk.nodes,
    vector: part("path", {}, stroke("ink", 2.5)),
    clipped: part("path", {}, stroke("method", 4)),
    tip: part("circle", { r: 0.13 }, fill("method")),
  };
  for (const [name, colour, width] of [["across", "muted", 2], ["step", "ink", 2], ["along", "method", 3]]) {
    parts[name] = { shaft: part("path", {}, stroke(colour, width)), head: part("path", {}, fill(colour)) };
  }
  const nodes = Object.values(parts).flat().flatMap((node) => (node.shaft ? [node.shaft, node.head] : [node]));
  return { parts, image: svg("svg", { viewBox: [-VIEW, -VIEW, 2 * VIEW, 2 * VIEW].join(" "), role: "img" }, ...nodes) };
}

function drawPicture({ image, parts, tags }, { z, label, threshold, clip, rate }, now) {
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

  const size = length(now.step);
  const scale = size === 0 ? 0 : (ENLARGED * Math.sqrt(rate * size)) / size;
  for (const name of ["along", "across", "step"]) {
    const vector = now[name].map((value) => scale * value);
    drawArrow(parts[name], z, vector, visiblePart(z, vector, VIEW - 0.15));
  }

  const names = ["loss > entropy:\nit shrinks", "loss < entropy:\nit grows"];
  setText(tags.upper, clip ? "outside the ball:\nno pull on the length" : names[label]);
  setText(tags.lower, clip ? "" : names[1 - label]);
  [tags.first, tags.second].forEach((node, k) => setText(node, `z${"₁₂"[k]}${label === k ? "\ntrue class" : ""}`));
  setText(tags.radius, `δ = ${format(threshold, 1)}`);
  tags.radius.style.top = `${50 + (50 * Math.min(threshold + 0.12, VIEW - 0.5)) / VIEW}%`;
  setAttributes(image, { "aria-label": inWords({ z, label, threshold, clip }) });
}

const describe = (z, now) => `z = (${format(z[0])}, ${format(z[1])}), length ${format(now.length)}, ${sentence(now)[0]}`;

/** The face of the figure, as anywidget and the book's loader call it; returns what takes it down again. */
function render({ model, el }) {
  const read = () => Object.fromEntries(Object.keys(defaults).map((key) => [key, model.get(key)]));
  const write = (changes) => {
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    model.save_changes();
  };
  const start = read();
  const { compact } = start;
  const root = frame(el, { name: "output-ball", method: "pon", compact, label: "Live figure: loss, entropy and the length of a logit vector" });

  const walk = trail();
  const { image, parts } = picture(walk);
  const tags = {
    upper: tagAt({ left: 2.5, top: 2.5 }, { "data-strong": true }), lower: tagAt({ right: 2.5, bottom: 2 }, { "data-strong": true }),
    first: tagAt({ right: 2.5, top: 50.8 }), second: tagAt({ left: 52, top: 2.5 }), radius: tagAt({ left: 51.5 }, { "data-method": true }),
  };
  const plane = html("div", { class: "lf-plane" }, image, ...Object.values(tags));
  const handle = planeHandle({
    plane, view: VIEW, limit: limits.z[1], grid: 0.05, step: 0.1, names: ["first logit", "second logit"], onMove: (z) => write({ z }),
  });

  let begun = null; // where the walk began: its length and its label
  const take = () => {
    const shown = read();
    const next = descend(shown);
    if (!inside(next)) return false;
    if (walk.count() === 0) begun = { size: length(shown.z), label: shown.label };
    walk.add(shown.z, next);
    write({ z: next });
    draw(); // also where the step moved nothing
    return true;
  };
  const play = playButton({ root, take: () => halt(read()) === "" && take() });
  const clear = () => {
    play.stop();
    walk.clear();
    draw();
  };

  const bars = { loss: bar({ label: "loss", part: squeezed, kind: "first" }), entropy: bar({ label: "entropy", part: squeezed, kind: "second" }) };
  const gap = gapArrow({ label: "entropy − loss", part: squeezed });
  const scale = ticks({ values: [0, 0.25, 1, 4, Infinity], part: squeezed });
  const status = statusLine();
  const facts = ["z", "size", "pull", "arrows", "steps"].map((name) => html("span", { class: name === "steps" ? "lf-wide" : null }));
  const [point, size, pull, arrows, steps] = facts;
  setText(arrows, "arrows 4 × √step");
  const fact = html("p", { class: "lf-fact" }, ...(compact ? [size, arrows, steps] : facts));
  const slider = sliderRow({ label: "threshold δ", min: 0.5, max: 5, step: 0.1, onInput: (threshold) => write({ threshold }) });
  const step = button("Take a step", take);
  const clip = button("Clip at δ", () => write({ clip: !model.get("clip") }), { pressed: start.clip });
  const swap = button("Swap the label", () => write({ label: 1 - model.get("label") }));
  const reset = button("Reset", () => (write({ ...start, z: [...start.z] }), clear()));
  const say = html("p", { class: "lf-say" });
  say.innerHTML = compact ? "Drag the logit vector, or take steps of gradient descent: what becomes of its length? And if you clip it at δ?"
    : "Drag the logit vector, or let it take steps of gradient descent. Each step splits into a part <b class='lf-method'>along</b> the "
      + "vector, which changes its length, and a part <b class='lf-across'>across</b> it, which changes the prediction.";
  const numbers = html("div", { class: "lf-rows" }, bars.loss.node, bars.entropy.node, ...(compact ? [] : [gap.node]), scale);
  const buttons = html("div", { class: "lf-buttons" }, step, ...(compact ? [clip] : [play.node, clip, swap, reset]));
  const panel = html("div", { class: "lf-panel" }, say, numbers, status.node, fact, ...(compact ? [] : [slider.node]), buttons);
  root.append(html("div", { class: "lf-body" }, plane, panel));

  const draw = () => {
    const shown = read();
    const now = state(shown);
    if (walk.count() && (begun.label !== shown.label || !walk.endsAt(shown.z))) return clear(); // something else than a step has moved it
    drawPicture({ image, parts, tags }, shown, now);
    handle.set(shown.z, describe(shown.z, now));
    bars.loss.set(now.loss);
    bars.entropy.set(now.entropy);
    gap.set(now.loss, now.entropy, now.outside);
    status.set(...sentence(now));
    setText(point, `z = (${format(shown.z[0])}, ${format(shown.z[1])})`);
    setText(size, `‖z‖ = ${format(now.length)}`);
    setText(pull, `pull on the length ${format(now.pull, 3, { sign: true })}`);
    const gone = walk.count() ? `step ${walk.count()}: length ${format(begun.size)} → ${format(now.length)}` : "";
    setAttributes(steps, { "aria-live": play.playing() ? "off" : "polite" });
    setText(steps, [`step size h = ${shown.rate}`, gone, halt(shown)].filter(Boolean).join(" · "));
    slider.set(shown.threshold);
    setAttributes(clip, { "aria-pressed": String(shown.clip) });
  };
  model.on("msg:custom", clear); // a button has put the figure into a state
  const ends = [drawOnChange({ model, names: Object.keys(defaults), root, draw }), play.forget, () => model.off("msg:custom", clear)];
  return () => ends.forEach((end) => end());
}

export default { render };
