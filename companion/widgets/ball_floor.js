/**
 * What a ball costs: logits of length at most δ cannot be surer than a curve allows, and more classes need a larger δ.
 *
 * The mathematics comes first, as pure functions; a test compares them with the library.
 */

import {
  axis, button, curveHandle, drawOnChange, format, frame, html, plot, setAttributes, sliderRow, spread, svg, tag,
} from "./kit.js";

/** δ = 2 as in the figure of the output ball, which has a value of the same name: ten classes cannot be surer than 48 %. */
export const defaults = { threshold: 2.0 };
export const limits = { threshold: [0.001, 1000] };

export const classes = [2, 10, 100, 1000];
const MAIN = 10; // the curve that carries the handle

/** The largest margin that logits of length δ can have over all other classes, δ√(C/(C−1)). */
export const gap = (count, threshold) => threshold * Math.sqrt(count / (count - 1));

/** The highest possible confidence, 1/(1 + (C−1) e^{−δ√(C/(C−1))}). */
export const ceiling = (count, threshold) => 1 / (1 + (count - 1) * Math.exp(-gap(count, threshold)));

/** The lowest possible loss, −log of the highest confidence, exact also where that is almost 1. */
export const lowestLoss = (count, threshold) => Math.log1p((count - 1) * Math.exp(-gap(count, threshold)));

/** A share in percent; never 100 %, which no δ reaches. */
export function percent(share) {
  if (share >= 0.9995) return ">\u00a099.9\u00a0%";
  return `${format(100 * share, 1)}\u00a0%`;
}

/** A loss with three digits; never 0, which no δ reaches. */
export const small = (value) => (value < 0.0005 ? "< 0.001" : format(value, 3));

/** δ with one digit, as the sliders move it, or with two where a notebook has set it finer. */
export const sayThreshold = (threshold) => format(threshold, Math.abs(threshold * 10 - Math.round(threshold * 10)) < 1e-9 ? 1 : 2);

/** The nearest δ that can be chosen here: in tenths, within the plot. */
export const snap = (threshold) => Number((Math.round(Math.max(RANGE[0], Math.min(RANGE[1], threshold)) * 10) / 10).toFixed(1));

/** What is the case, in words. */
export function sentence({ threshold }) {
  const most = ceiling(MAIN, threshold);
  const start = `δ = ${sayThreshold(threshold)}: with ${MAIN} classes`;
  return most >= 0.9995 ? `${start} the ball still allows answers surer than 99.9\u00a0%.` : `${start} no answer can be surer than ${percent(most)}.`;
}

/** The state as one sentence with its numbers. */
export function inWords({ threshold }) {
  const each = classes.map((count) => `${percent(ceiling(count, threshold)).replace(">", "over")} with ${count}`);
  return `The highest confidence that logits of length at most δ can have, as a curve over δ. At δ\u00a0=\u00a0${sayThreshold(threshold)}: `
    + `${each.slice(0, -1).join(", ")} and ${each.at(-1)} classes.`;
}

// ---- the picture ----

const RANGE = [0.5, 20]; // what can be chosen here; a notebook may set a δ outside
const DELTA = axis(0.45, 22, { log: true });
const SURE = axis(0, 1.03);
const GAP = 0.09; // between two labels
const ASIDE = 0.09; // from the line to the labels, as a share of the width: the handle fits between

function picture() {
  const curve = (style) => svg("path", { style: `stroke: var(--lf-method); ${style}` });
  const parts = {
    line: svg("path", { class: "lf-delta", style: "stroke: var(--lf-method); stroke-width: 2; stroke-dasharray: 0 5; stroke-linecap: round" }),
    curves: classes.map((count) => curve(`stroke-width: ${count === MAIN ? 3 : 1.5}`)),
    leaders: classes.map(() => svg("path", { style: "stroke: var(--lf-muted); stroke-width: 1" })),
    dots: classes.map(() => svg("circle", { r: 4, style: "fill: var(--lf-method); stroke: none" })),
  };
  const face = plot({
    x: DELTA, xTicks: [0.5, 1, 2, 5, 10, 20].map((value) => [value, String(value)]), xName: "radius δ of the ball",
    yName: "highest possible confidence",
  }, ...parts.curves, parts.line, ...parts.leaders, ...parts.dots);
  const tags = classes.map((count) => tag("", { class: "lf-tag lf-plate", "data-strong": count === MAIN }));
  face.node.append(...tags);
  face.set(SURE, [0, 0.25, 0.5, 0.75, 1].map((value) => [value, `${100 * value} %`]));
  const grid = Array.from({ length: 121 }, (_, i) => DELTA.value(i / 120));
  classes.forEach((count, i) => setAttributes(parts.curves[i], { d: face.line(grid.map((delta) => [delta, ceiling(count, delta)])) }));
  return { ...face, parts, tags };
}

/** The line at δ, a dot where it meets each curve, and beside it the labels, spread so that none covers another. */
function draw({ parts, tags, line, hang, at }, threshold) {
  const delta = Math.max(DELTA.from, Math.min(DELTA.to, threshold));
  const right = DELTA.share(delta) < 0.57; // on a phone the longest label is half as wide as the plot
  const aside = DELTA.value(DELTA.share(delta) + (right ? ASIDE : -ASIDE));
  const values = classes.map((count) => ceiling(count, threshold));
  const heights = spread([...values].reverse(), GAP, GAP / 2, 1 - GAP / 2).reverse();
  setAttributes(parts.line, { d: line([[delta, 0], [delta, 1]]) });
  classes.forEach((count, i) => {
    const [cx, cy] = at([delta, values[i]]);
    setAttributes(parts.dots[i], { cx, cy });
    setAttributes(parts.leaders[i], { d: line([[delta, values[i]], [aside, heights[i]]]) });
    tags[i].innerHTML = `C = ${count}  <b>${percent(values[i])}</b>`;
    hang(tags[i], [aside, heights[i]], right ? "0, -50%" : "-100%, -50%");
  });
  return SURE.share(ceiling(MAIN, threshold));
}

/** A table of the same numbers: a screen reader goes through it, and it has the loss beside the confidence. */
function table() {
  const cells = classes.map(() => [html("td"), html("td")]);
  const head = (text) => html("th", { scope: "col" }, text);
  const node = html("table", { class: "lf-table" },
    html("thead", {}, html("tr", {}, head("classes"), head("highest confidence"), head("lowest loss"))),
    html("tbody", {}, ...classes.map((count, i) =>
      html("tr", { "data-main": count === MAIN }, html("th", { scope: "row" }, String(count)), ...cells[i]))));
  return {
    node,
    set: (threshold) => classes.forEach((count, i) => {
      cells[i][0].textContent = percent(ceiling(count, threshold));
      cells[i][1].textContent = small(lowestLoss(count, threshold));
    }),
  };
}

/** The face of the figure, as anywidget and the book's loader call it; returns what takes it down again. */
function render({ model, el }) {
  const write = (threshold) => {
    model.set("threshold", threshold);
    model.save_changes();
  };
  const start = model.get("threshold");
  const root = frame(el, { name: "ball-floor", method: "pon", label: "Live figure: the confidence and the loss that a ball of radius δ allows" });
  const drawing = picture();
  const handle = curveHandle({
    plane: drawing.node, x: DELTA, name: "δ along the curve", nudge: (delta, steps) => delta + steps / 10, onMove: (delta) => write(snap(delta)),
  });
  const numbers = table();
  const status = html("p", { class: "lf-status", role: "status", "aria-live": "polite" });
  const slider = sliderRow({ label: "threshold δ", min: RANGE[0], max: RANGE[1], step: 0.1, says: sayThreshold, onInput: write });
  const say = html("p", { class: "lf-say" });
  say.innerHTML = "Drag <b class='lf-method'>δ</b>. Inside a ball of this radius no vector points far enough at one class to be surer than "
    + "the curve says. The more classes, the larger the ball must be.";
  root.append(html("div", { class: "lf-body" }, drawing.node, html("div", { class: "lf-panel" }, say, numbers.node, status, slider.node,
    html("div", { class: "lf-buttons" }, button("Reset", () => write(start))))));

  const update = () => {
    const threshold = model.get("threshold");
    const height = draw(drawing, threshold);
    setAttributes(drawing.image, { "aria-label": inWords({ threshold }) });
    handle.set(threshold, height, `δ = ${sayThreshold(threshold)}`);
    numbers.set(threshold);
    if (status.textContent !== sentence({ threshold })) status.textContent = sentence({ threshold });
    slider.set(threshold);
  };
  return drawOnChange({ model, names: Object.keys(defaults), root, draw: update });
}

export default { render };
