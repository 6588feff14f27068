/**
 * The noisy posterior: what a perfect fit predicts for the true class when labels are noisy, under cross entropy and under TCE.
 *
 * The mathematics comes first, as pure functions; a test compares them with the library. By symmetry the other C − 1 classes share
 * what is left (the test argues it), so that a prediction is one number: s = log q₁/qₖ, true class against another.
 */

import {
  axis, bar, button, choice, curveHandle, drawOnChange, format, frame, html, plot, setAttributes, setText, sliderRow, statusLine, svg, tag,
} from "./kit.js";

/** The paper's noisiest case, at its largest α: the labels are right in a quarter of the cases, and the network is sure. */
export const defaults = { rate: 0.8, alpha: 2.0, classes: "10" };
export const limits = { rate: [0, 0.99], alpha: [0, 3], classes: ["2", "10", "100"] };

/** The label's probabilities, of the true class and of each other one, when a share η is replaced uniformly over all C classes. */
export const posterior = (rate, classes) => [1 - rate + rate / classes, rate / classes];

/** The logarithms of the two predicted probabilities. */
export function logProbs(s, classes) {
  const first = -Math.log1p((classes - 1) * Math.exp(-s));
  return [first, first - s];
}

/** TCE as a function of the cross entropy L. */
export const tamed = (loss, alpha) => (alpha === 1 ? Math.log1p(loss) : Math.expm1((1 - alpha) * Math.log1p(loss)) / (1 - alpha));

/** The expected TCE of a prediction over the labels, for η > 0. */
export function expected(s, rate, alpha, classes) {
  const [mine, other] = posterior(rate, classes);
  const [first, each] = logProbs(s, classes);
  return mine * tamed(-first, alpha) + (classes - 1) * other * tamed(-each, alpha);
}

/** log π₁/πₖ of the labels for which s is stationary: q(1 − log q)^α ∝ π. */
export function odds(s, alpha, classes) {
  const [first, each] = logProbs(s, classes);
  return s + alpha * (Math.log1p(-first) - Math.log1p(-each));
}

/** Where a function turns from below 0 to above it. */
function root(value, low, high) {
  for (let step = 0; step < 80; step += 1) {
    const middle = (low + high) / 2;
    if (value(middle) < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** K in d odds/ds = 1 − αK; in s ≥ 0 it rises to one peak (at 0 for two classes) and then falls to 0. */
export function bend(s, classes) {
  const [first, each] = logProbs(s, classes);
  return -Math.expm1(first) / (1 - first) + Math.exp(first) / (1 - each);
}

/** The two s between which `odds` falls, so that one posterior has several stationary predictions; null where it rises throughout. */
export function fold(alpha, classes) {
  let [low, high] = [0, 20];
  for (let step = 0; step < 90; step += 1) {
    const [left, right] = [(2 * low + high) / 3, (low + 2 * high) / 3];
    if (bend(left, classes) < bend(right, classes)) low = left;
    else high = right;
  }
  const slope = (s) => 1 - alpha * bend(s, classes);
  if (slope(low) >= 0) return null;
  let far = 40;
  while (slope(far) < 0) far *= 2;
  return [slope(0) > 0 ? root((s) => -slope(s), 0, low) : 0, root(slope, low, far)];
}

/** The s of the lowest expected loss: on the rising pieces of `odds` lie the minima, at most one on each; ∞ without noise. */
export function optimum(rate, alpha, classes) {
  if (rate === 0) return Infinity;
  const wanted = Math.log1p((classes * (1 - rate)) / rate);
  const excess = (s) => odds(s, alpha, classes) - wanted;
  const [top, bottom] = fold(alpha, classes) ?? [0, 0];
  let far = bottom + 1;
  while (excess(far) < 0) far *= 2;
  const found = [];
  if (top > 0 && excess(top) >= 0) found.push(root(excess, 0, top));
  if (excess(bottom) <= 0) found.push(root(excess, bottom, far));
  const losses = found.map((s) => expected(s, rate, alpha, classes));
  return found[losses.indexOf(Math.min(...losses))];
}

/** Where the best prediction jumps as η grows: { rate, from, to }, or null. */
export function jump(alpha, classes) {
  const [top, bottom] = fold(alpha, classes) ?? [0, 0];
  if (top === 0 || optimum(1, alpha, classes) >= bottom) return null;
  const rateAt = (log) => classes / (classes + Math.expm1(log));
  const rate = root((eta) => (optimum(eta, alpha, classes) >= bottom ? -1 : 1),
    rateAt(odds(top, alpha, classes)), rateAt(Math.max(0, odds(bottom, alpha, classes))));
  const [from, to] = [rate - 1e-9, rate + 1e-9].map((eta) => Math.exp(logProbs(optimum(eta, alpha, classes), classes)[0]));
  return { rate, from, to };
}

/** The inverse link: the posterior ∝ q(1 − log q)^α of a prediction, as `companion.methods.tamed_posterior` has it. */
export function inverseLink(probs, alpha) {
  const scores = probs.map((q) => (q > 0 ? Math.log(q) + alpha * Math.log1p(-Math.log(q)) : -Infinity));
  const top = Math.max(...scores);
  const parts = scores.map((score) => Math.exp(score - top));
  const sum = parts.reduce((total, part) => total + part, 0);
  return parts.map((part) => part / sum);
}

/** Of the true class: the posterior, TCE's prediction, and what the inverse link makes of the prediction. */
export function state({ rate, alpha, classes }) {
  const count = Number(classes);
  const [first, each] = logProbs(optimum(rate, alpha, count), count).map(Math.exp);
  const probs = Array.from({ length: count }, (_, i) => (i === 0 ? first : each));
  return { posterior: posterior(rate, count)[0], prediction: first, probs, back: inverseLink(probs, alpha)[0] };
}

/** A share in percent; 100 % is said of certainty alone. */
export function percent(share, digits = 0) {
  const text = format(100 * share, digits);
  if (share === 1 || Number(text) < 100) return `${text}\u00a0%`;
  return digits === 0 ? percent(share, 1) : ">\u00a099.9\u00a0%";
}

/** What is the case, in words, and whether the prediction is surer than the labels (1) or as sure (0). */
export function sentence(values) {
  const { posterior: said, prediction } = state(values);
  if (prediction - said < 1e-3) return [`TCE predicts ${percent(said)}, as the labels say`, 0];
  const digits = percent(said) === percent(prediction) ? 1 : 0;
  return [`TCE predicts ${percent(prediction, digits)}, the labels say ${percent(said, digits)}`, 1];
}

/** What holds at this α and C for all noise rates. */
export function law({ alpha, classes }) {
  const count = Number(classes);
  const found = jump(alpha, count);
  if (found) return `At η = ${format(found.rate, 3)} the best prediction jumps from ${percent(found.from)} to ${percent(found.to)}.`;
  const end = Math.exp(logProbs(optimum(1, alpha, count), count)[0]);
  if (end - 1 / count < 1e-6) return "As η → 1 the prediction becomes a guess, and so do the labels.";
  return `As η → 1 the labels say nothing, and the prediction stays at ${percent(end)}.`;
}

/** The state as one sentence with its numbers. */
export function inWords(values) {
  const now = state(values);
  return `The probability of the true class over the noise rate η, with ${values.classes} classes and α = ${format(values.alpha, 1)}. At `
    + `η = ${format(values.rate)} the labels say ${format(now.posterior, 3)}, and so does cross entropy; the optimum of TCE predicts `
    + `${format(now.prediction, 3)}; its inverse link gives ${format(now.back, 3)}. ${law(values)}`;
}

// ---- the picture ----

const NOISE = axis(0, 1);
const SHARE = axis(0, 1.14);
const GRID = Array.from({ length: 161 }, (_, i) => 1 - (1 - i / 160) ** 2); // close near 1, where the curve may be steep
const RINGS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

function picture() {
  const stroke = (colour, width, more = "") => ({ style: `stroke: var(--lf-${colour}); stroke-width: ${width}; ${more}` });
  const parts = {
    guess: svg("path", stroke("muted", 1, "stroke-dasharray: 2 4")),
    posterior: svg("path", { class: "lf-posterior", ...stroke("muted", 2, "stroke-dasharray: 6 5") }),
    jump: svg("path", { class: "lf-jump", ...stroke("method", 1.5, "stroke-dasharray: 1 4; stroke-linecap: round") }),
    curve: svg("path", { class: "lf-prediction", ...stroke("method", 2.5) }),
    gap: svg("path", { class: "lf-gap-line", ...stroke("method", 1.25) }),
  };
  const rings = RINGS.map(() => svg("circle", { class: "lf-ring", r: 6, style: "fill: none; stroke: var(--lf-method); stroke-width: 1.5" }));
  const dot = svg("circle", { r: 5, style: "fill: var(--lf-muted); stroke: none" });
  const face = plot({
    x: NOISE, xTicks: [0, 0.2, 0.4, 0.6, 0.8, 1].map((value) => [value, String(value)]), xName: "noise rate η", yName: "probability of the true class",
  }, ...Object.values(parts), ...rings, dot);
  const tags = { posterior: tag("the labels say π"), curve: tag("TCE predicts q", { "data-method": true }), guess: tag("") };
  face.node.append(...Object.values(tags));
  face.set(SHARE, [0, 0.2, 0.4, 0.6, 0.8, 1].map((value) => [value, `${Math.round(100 * value)} %`]));
  return { ...face, parts, rings, dot, tags };
}

/** What stands still while the handle moves. */
function drawCurves({ parts, rings, tags, line, hang, at }, { alpha, classes }) {
  const count = Number(classes);
  const predicted = (rate) => state({ rate, alpha, classes }).prediction;
  const cut = jump(alpha, count);
  const points = GRID.map((rate) => [rate, predicted(rate)]);
  const before = points.filter(([rate]) => !cut || rate < cut.rate);
  const ends = cut ? [[cut.rate, cut.from], [cut.rate, cut.to]] : [];
  const pieces = cut ? [[...before, ends[0]], [ends[1], ...points.slice(before.length)]] : [before];
  setAttributes(parts.curve, { d: pieces.map(line).join(" ") });
  setAttributes(parts.jump, { d: cut ? line(ends) : "" });
  setAttributes(parts.posterior, { d: line([[0, 1], [1, 1 / count]]) });
  setAttributes(parts.guess, { d: line([[0, 1 / count], [1, 1 / count]]) });
  RINGS.forEach((rate, i) => {
    const [cx, cy] = at([rate, state({ rate, alpha, classes }).back]);
    setAttributes(rings[i], { cx, cy });
  });
  setText(tags.guess, `a guess, 1/${classes}`);
  hang(tags.guess, [0, 1 / count], count === 2 ? "6px, 4px" : "6px, calc(-100% - 4px)");
  hang(tags.posterior, [0.62, posterior(0.62, count)[0]], "calc(-100% - 10px), 8px");
  hang(tags.curve, [0.55, predicted(0.55)], "8px, calc(-100% - 9px)");
}

/** The face of the figure, as anywidget and the book's loader call it; returns what takes it down again. */
function render({ model, el }) {
  const read = () => Object.fromEntries(Object.keys(defaults).map((key) => [key, model.get(key)]));
  const write = (changes) => {
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    model.save_changes();
  };
  const move = (rate) => write({ rate: Number(Math.max(limits.rate[0], Math.min(limits.rate[1], rate)).toFixed(2)) });
  const start = read();
  const root = frame(el, {
    name: "noisy-posterior", method: "tce", label: "Live figure: what a perfect fit predicts when labels are noisy",
  });
  const drawing = picture();
  const handle = curveHandle({
    plane: drawing.node, x: NOISE, name: "noise rate η along the curve", nudge: (rate, steps) => rate + steps / 100, onMove: move,
  });
  const full = { full: 1 };
  const bars = {
    posterior: bar({ label: "the labels say π", kind: "second", ...full }), prediction: bar({ label: "TCE predicts q", kind: "first", ...full }),
    back: bar({ label: "inverse link of q", kind: "second", ...full }),
  };
  const status = statusLine();
  const slider = sliderRow({ label: "exponent α", min: limits.alpha[0], max: limits.alpha[1], step: 0.1, onInput: (alpha) => write({ alpha }) });
  const classes = choice({ label: "number of classes", words: limits.classes, onChoose: (word) => write({ classes: word }) });
  const say = html("p", { class: "lf-say" });
  say.innerHTML = "Drag η, the share of labels that chance replaces. Cross entropy at its best predicts what the labels say (dashed); TCE at "
    + "its best follows the <b class='lf-method'>curve</b>: surer, with the same class first. The rings are its inverse link: the dashed line again.";
  const about = html("p", { class: "lf-fact" });
  const fact = html("span", { class: "lf-wide" });
  about.append(fact);
  root.append(html("div", { class: "lf-body" }, drawing.node, html("div", { class: "lf-panel" }, say,
    html("div", { class: "lf-rows" }, ...Object.values(bars).map((row) => row.node)), status.node, about, slider.node,
    html("div", { class: "lf-buttons", style: "align-items: center" }, html("span", { "aria-hidden": "true" }, "classes"), classes.node,
      button("Reset", () => write(start))))));

  let drawn = null;
  const draw = () => {
    const shown = read();
    const now = state(shown);
    const still = `${shown.alpha} ${shown.classes}`;
    if (drawn !== still) {
      drawCurves(drawing, shown);
      setText(fact, law(shown));
      drawn = still;
    }
    setAttributes(drawing.parts.gap, { d: drawing.line([[shown.rate, now.posterior], [shown.rate, now.prediction]]) });
    const [cx, cy] = drawing.at([shown.rate, now.posterior]);
    setAttributes(drawing.dot, { cx, cy });
    setAttributes(drawing.image, { "aria-label": inWords(shown) });
    handle.set(shown.rate, SHARE.share(now.prediction), `η = ${format(shown.rate)}, ${sentence(shown)[0]}`);
    for (const [name, row] of Object.entries(bars)) row.set(now[name]);
    status.set(...sentence(shown));
    slider.set(shown.alpha);
    classes.set(shown.classes);
  };
  return drawOnChange({ model, names: Object.keys(defaults), root, draw });
}

export default { render };
