/**
 * The tamed gradient: how hard one sample pulls at its label's logit, and who holds the gradient of a batch with wrong labels.
 *
 * The mathematics comes first, as pure functions; a test compares them with the library. q is the probability that the net gives to a
 * sample's label, L = −log q its cross entropy. A pull is the size of the gradient at the label's logit.
 */

import {
  axis, bar, button, choice, curveHandle, drawOnChange, format, frame, html, plot, setAttributes, setText, sliderRow, spread, statusLine,
  svg, tag,
} from "./kit.js";

/** The state that surprises: most of cross entropy's gradient is the wrong labels', and of the tamed gradient little. */
export const defaults = { alpha: 2.0, right: 0.6, wrong: 0.05, noise: 0.4, view: "pull" };
export const limits = { alpha: [0, 3], right: [0.01, 0.99], wrong: [0.01, 0.99], noise: [0.05, 0.95], view: ["pull", "loss"] };

/** The pull (1−q)(1−log q)^−α; of cross entropy, which is α = 0, it is 1 − q. */
export const pull = (q, alpha) => (1 - q) * (1 - Math.log(q)) ** -alpha;

/** The loss ((1+L)^(1−α) − 1)/(1−α), which is log(1+L) at α = 1, and L at α = 0. */
export function loss(q, alpha) {
  const log = Math.log1p(-Math.log(q));
  return alpha === 1 ? log : Math.expm1((1 - alpha) * log) / (1 - alpha);
}

/** What the loss cannot reach: 1/(α−1), and infinity up to α = 1. */
export const bound = (alpha) => (alpha > 1 ? 1 / (alpha - 1) : Infinity);

/** The q* with the strongest pull, where α(1−q) = q(1 − log q); 0 at α = 0, whose pull falls all the way. */
export function peak(alpha) {
  if (alpha === 0) return 0;
  let [low, high] = [0, 1];
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (alpha * (1 - middle) > middle * (1 - Math.log(middle))) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The pulls of a batch with a share of wrong labels: their mean, and the part of it that the wrong labels hold. */
export function shares({ right, wrong, noise }, alpha) {
  const [held, rest] = [noise * pull(wrong, alpha), (1 - noise) * pull(right, alpha)];
  return { mean: held + rest, share: held / (held + rest) };
}

/** All that the figure shows, as numbers; `part` is the mean pull as a multiple of cross entropy's. */
export function state(values) {
  const [tamed, cross] = [shares(values, values.alpha), shares(values, 0)];
  const [low, high] = [tamed.share, cross.share].map((share) => Math.round(100 * share));
  return { tamed, cross, part: tamed.mean / cross.mean, peak: peak(values.alpha), bound: bound(values.alpha), direction: Math.sign(low - high) };
}

const percent = (share) => `${format(100 * share, 0)}\u00a0%`;

/** What is the case, in words, and whether the wrong labels hold more than with cross entropy (1), less (−1) or as much (0). */
export function sentence({ tamed, cross, direction }) {
  const other = direction === 0 ? ", as with cross entropy." : `; with\u00a0cross\u00a0entropy\u00a0${percent(cross.share)}.`;
  return [`The wrong labels hold ${percent(tamed.share)} of the gradient${other}`, direction];
}

/** How much shorter the step is, which a smaller learning rate could do as well. */
export function fact({ part }) {
  return format(part) === "1.00" ? "The batch pulls as hard as with cross entropy."
    : `The batch pulls ${format(part)} times as hard as with cross entropy: like a smaller learning rate.`;
}

/** The state as one sentence with its numbers. */
export function inWords(values) {
  const { alpha, right, wrong, noise, view } = values;
  const now = state(values);
  const { of, name, cross } = VIEWS[view];
  const at = (q) => `q = ${format(q)} have a ${name} of ${format(of(q, alpha))} (cross entropy ${format(of(q, 0))})`;
  const mark = view === "pull" ? `strongest at q* = ${format(now.peak)}, where it is ${format(pull(now.peak, alpha))}`
    : now.bound === Infinity ? "without a bound" : `below ${format(now.bound)} for every q`;
  return `The ${name} of one sample over the probability q of its label, tamed with α = ${format(alpha)}: ${mark}; cross entropy's is ${cross}. `
    + `Right labels at ${at(right)}, wrong ones at ${at(wrong)}. With ${percent(noise)} wrong labels these hold ${percent(now.tamed.share)} `
    + `of the gradient, with cross entropy ${percent(now.cross.share)}; the batch pulls ${format(now.part)} times as hard.`;
}

// ---- the picture ----

/** Of each view: its function, the numbers on its upright axis, and where the curves' names stand; TCE's above its curve from an α on. */
const VIEWS = {
  pull: { of: pull, name: "pull", cross: "1 − q", full: 1, first: 0, ticks: [0, 0.25, 0.5, 0.75, 1],
    nameCross: [0.5, 0.5], nameTamed: 0.25, above: 1, upright: "pull at the label's logit" },
  loss: { of: loss, name: "loss", cross: "−log q", full: 5, first: Math.exp(-5), ticks: [0, 1, 2, 3, 4, 5],
    nameCross: [0.22, 1.6], nameTamed: 0.15, above: Infinity, upright: "loss, in nats" },
};
const Q = axis(0, 1);
const BAND = 1.25; // the plot is a quarter higher than its curves: that band is for words, and no curve comes there
const GAP = 0.25; // between two words in it, as a share of the width
const SIDES = ["wrong", "right"];

/** The nearest q that can be chosen: in hundredths, within the limits. */
export const snap = (q) => Number(Math.max(limits.right[0], Math.min(limits.right[1], Math.round(100 * q) / 100)).toFixed(2));

function picture() {
  const stroke = (colour, width, more = "") => ({ style: `stroke: var(--lf-${colour}); stroke-width: ${width}; ${more}` });
  const leader = (colour) => svg("path", stroke(colour, 1, "stroke-dasharray: 2 4"));
  const parts = {
    wrong: leader("ink"),
    right: leader("ink"),
    peak: leader("method"),
    bound: svg("path", { class: "lf-bound", ...stroke("method", 1.25, "stroke-dasharray: 8 4") }),
    cross: svg("path", { class: "lf-cross", ...stroke("muted", 2, "stroke-dasharray: 6 5") }),
    tamed: svg("path", { class: "lf-tamed", ...stroke("method", 3) }),
    top: svg("circle", { class: "lf-top", r: 5.5, style: "fill: var(--lf-page); stroke: var(--lf-method); stroke-width: 2" }),
    dots: SIDES.map(() => svg("circle", { r: 4, style: "fill: var(--lf-muted); stroke: none" })),
  };
  const face = plot({
    x: Q, xTicks: [0, 0.25, 0.5, 0.75, 1].map((value) => [value, String(value)]), xName: "probability q of the label", yName: "",
  }, ...Object.values(parts).flat());
  const word = (attributes = {}) => tag("", { class: "lf-tag lf-plate", ...attributes });
  const tags = {
    wrong: word({ "data-strong": true }), right: word({ "data-strong": true }), peak: word({ "data-method": true }),
    bound: word({ "data-method": true }), cross: word(), tamed: word({ "data-method": true }),
    upright: tag("", { class: "lf-tag lf-y-name" }),
  };
  for (const name of ["wrong", "right", "peak"]) tags[name].style.textAlign = "center";
  for (const name of SIDES) tags[name].style.color = "var(--lf-ink)";
  setText(tags.cross, "cross entropy");
  face.node.append(...Object.values(tags));
  return { ...face, parts, tags };
}

/** The curves, with their names and, of the loss, its bound. */
function drawCurves({ parts, tags, set, line, hang }, { alpha, view }, now) {
  const { of, full, first, ticks, upright, nameCross, nameTamed, above } = VIEWS[view];
  set(axis(0, BAND * full), ticks.map((value) => [value, String(value)]));
  setText(tags.upright, upright);
  const grid = Array.from({ length: 201 }, (_, i) => Math.max(first, (i / 200) ** 2)); // from `first`: a loss ends where the band begins
  for (const [curve, strength] of [["cross", 0], ["tamed", alpha]]) {
    setAttributes(parts[curve], { d: line(grid.map((q) => [q, of(q, strength)])) });
  }
  const bounded = view === "loss" && now.bound <= full;
  hang(tags.cross, bounded && now.bound < 2.5 ? [0.05, 3] : nameCross, "10px, calc(-100% - 2px)");
  hang(tags.tamed, [nameTamed, of(nameTamed, alpha)], alpha >= above ? "-50%, calc(-100% - 12px)" : "-100%, 13px");
  setAttributes(parts.bound, { d: bounded ? line([[0, now.bound], [1, now.bound]]) : "" });
  setText(tags.bound, bounded ? `TCE < ${format(now.bound)}` : "");
  setText(tags.tamed, bounded && alpha >= 1.5 ? "" : "TCE"); // so near to its bound one name is enough
  hang(tags.bound, [1, bounded ? now.bound : 0], "-100%, calc(-100% - 2px)");
}

/** From the point of each handle, and from the peak, a line up to its word; and a dot where it crosses cross entropy's curve. */
function drawPoints({ parts, tags, line, hang, at }, values, now) {
  const { alpha, view } = values;
  const { of, full } = VIEWS[view];
  const marks = SIDES.map((side) => [side, values[side], `${side}\n${format(values[side])}`]);
  if (view === "pull") marks.push(["peak", now.peak, `q*\n${format(now.peak)}`]);
  else setText(tags.peak, "");
  marks.sort((one, other) => one[1] - other[1]);
  const places = spread(marks.map(([, q]) => q), GAP, GAP / 2, 1 - GAP / 2);
  for (const part of [parts.peak, parts.top]) setAttributes(part, { visibility: view === "pull" ? "visible" : "hidden" });
  marks.forEach(([name, q, text], i) => {
    setText(tags[name], text);
    hang(tags[name], [places[i], 1.135 * full], "-50%, -50%");
    setAttributes(parts[name], { d: line([[q, of(q, alpha)], [q, of(q, 0)], [places[i], 1.04 * full]]) });
  });
  SIDES.forEach((side, i) => {
    const [cx, cy] = at([values[side], of(values[side], 0)]);
    setAttributes(parts.dots[i], { cx, cy });
  });
  const [cx, cy] = at([now.peak, of(now.peak, alpha)]);
  if (view === "pull") setAttributes(parts.top, { cx, cy });
}

/** The face of the figure, as anywidget and the book's loader call it; returns what takes it down again. */
function render({ model, el }) {
  const read = () => Object.fromEntries(Object.keys(defaults).map((key) => [key, model.get(key)]));
  const write = (changes) => {
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    model.save_changes();
  };
  const start = read();
  const root = frame(el, { name: "tamed-gradient", method: "tce", label: "Live figure: the pull of one sample, and who holds the batch's gradient" });
  const drawing = picture();
  const handles = Object.fromEntries(SIDES.map((side) => [side, curveHandle({
    plane: drawing.node, x: Q, name: `q of the ${side} labels, along the curve`, nudge: (q, steps) => q + steps / 100,
    onMove: (q) => write({ [side]: snap(q) }),
  })]));
  handles.wrong.node.classList.add("lf-hollow");

  const view = choice({ label: "the curve shows the", words: limits.view, onChoose: (word) => write({ view: word }) });
  const bars = {
    cross: bar({ label: "cross entropy", full: 100, kind: "second", digits: 0 }),
    tamed: bar({ label: "TCE", full: 100, kind: "method", digits: 0 }),
  };
  const status = statusLine();
  const together = html("span", { class: "lf-wide" });
  const sliders = {
    alpha: sliderRow({ label: "exponent α", min: limits.alpha[0], max: limits.alpha[1], step: 0.05, digits: 2, onInput: (alpha) => write({ alpha }) }),
    noise: sliderRow({ label: "share wrong", min: limits.noise[0], max: limits.noise[1], step: 0.05, says: percent, onInput: (noise) => write({ noise }) }),
  };
  const say = html("p", { class: "lf-say" });
  say.innerHTML = "Drag the two points along <b class='lf-method'>TCE</b>'s curve: which probability q does the net give to <b>right</b> labels, "
    + "which to <b>wrong</b> ones? Left of its peak q* the pull fades, whether a label is wrong or only hard.";
  root.append(html("div", { class: "lf-body" }, drawing.node, html("div", { class: "lf-panel" }, say, view.node,
    html("p", {}, "The wrong labels' share of the gradient, in %:"), html("div", { class: "lf-rows" }, bars.cross.node, bars.tamed.node),
    status.node, html("p", { class: "lf-fact" }, together), html("div", { class: "lf-rows" }, sliders.alpha.node, sliders.noise.node),
    html("div", { class: "lf-buttons" }, button("Reset", () => write(start))))));

  const draw = () => {
    const shown = read();
    const now = state(shown);
    const { of, name, full } = VIEWS[shown.view];
    drawCurves(drawing, shown, now);
    drawPoints(drawing, shown, now);
    setAttributes(drawing.image, { "aria-label": inWords(shown) });
    for (const side of SIDES) {
      const [tamed, cross] = [of(shown[side], shown.alpha), of(shown[side], 0)];
      handles[side].set(shown[side], tamed / (BAND * full), `q = ${format(shown[side])}, ${name} ${format(tamed, 3)}, with cross entropy ${format(cross, 3)}`);
    }
    view.set(shown.view);
    bars.cross.set(100 * now.cross.share);
    bars.tamed.set(100 * now.tamed.share);
    status.set(...sentence(now));
    setText(together, fact(now));
    sliders.alpha.set(shown.alpha);
    sliders.noise.set(shown.noise);
  };
  return drawOnChange({ model, names: Object.keys(defaults), root, draw });
}

export default { render };
