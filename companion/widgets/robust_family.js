/**
 * The robust family: one weight on the gradient of cross entropy, with a slope and a tail, that holds TCE, GCE and the absolute error.
 *
 * The mathematics comes first, as pure functions; a test compares them with the library. The weight is that of Barron's general robust
 * loss ρ(x; a, c) with x²/2 = L: the tail is s = 2/(2 − a), the slope k = 1/c².
 */

import {
  axis, button, drawOnChange, format, frame, html, planeHandle, plot, setAttributes, setText, statusLine, svg, tag,
} from "./kit.js";

/** TCE at α = 2, which is Geman–McClure: a slope of 2 and a tail of ½. */
export const defaults = { tail: 0.5, slope: 2.0 };
export const limits = { tail: [0, 2], slope: [0, 2] };

/** −log w = log(1 + s·k·L)/s, which is k·L for s = 0; exact also at the smallest s. */
function fall(loss, tail, slope) {
  const x = tail * slope * loss;
  return slope * loss * (x === 0 ? 1 : Math.log1p(x) / x);
}

/** The weight w(L) = (1 + s·k·L)^(−1/s) on p − y, which is e^(−kL) for s = 0. */
export const weight = (loss, { tail, slope }) => Math.exp(-fall(loss, tail, slope));

/** The loss as a function of the cross entropy, the integral of the weight from 0 to L. */
export function robust(loss, { tail, slope }) {
  const x = tail * slope * loss;
  const y = (tail - 1) * fall(loss, tail, slope);
  return loss * (x === 0 ? 1 : Math.log1p(x) / x) * (y === 0 ? 1 : Math.expm1(y) / y);
}

/** What a label can cost at most, 1/(k(1 − s)); no bound for a tail from 1 on. */
export const bound = ({ tail, slope }) => (tail < 1 && slope > 0 ? 1 / (slope * (1 - tail)) : Infinity);

/** Two that are not in the family: their weights, as `companion.methods.baselines` has them by default, and their bounds. */
export const others = {
  "Huberised CE": { weight: (loss) => (loss < Math.log(2) ? 1 : 2 * Math.exp(-loss)), bound: 1 + Math.log(2) },
  "symmetric CE": { weight: (loss) => 0.1 + 4 * Math.exp(-loss), bound: Infinity },
};

/** The place of TCE(α) on the map: slope α, tail 1/α. */
export const tce = (alpha) => ({ tail: Number((1 / alpha).toFixed(6)), slope: alpha });

/** The members that have a button. */
export const members = {
  "cross entropy": { tail: 1.0, slope: 0 },
  "TCE ½": tce(0.5), "TCE 1": tce(1), "TCE 2": tce(2),
  "GCE 0.7": { tail: 0, slope: 0.7 },
  "MAE": { tail: 0, slope: 1 },
};

/** A number with the digits it needs, three at most; ∞ has its sign. */
const short = (value) => (value === Infinity ? "∞" : String(Number(value.toPrecision(3))));
const ofL = (value) => (short(value) === "1" ? "L" : `${short(value)} L`);

/** What the member is called; nothing where no loss of the chapter stands. */
export function nameOf({ tail, slope }) {
  if (slope === 0) return "Cross entropy";
  if (tail === 0 && slope === 1) return "MAE (half of it)";
  if (tail === 0 && slope < 1) return `GCE, q = ${short(slope)}`;
  if (Math.abs(tail * slope - 1) > 1e-4) return "";
  const robustName = { 0.5: "Charbonnier", 1: "Cauchy", 2: "Geman–McClure" }[short(slope)];
  return `TCE, α = ${short(slope)}${robustName ? ` (${robustName})` : ""}`;
}

/** The member's formula with its numbers, in HTML. */
export function formula({ tail, slope }) {
  if (slope === 0) return "w(L) = 1";
  const minus = "\u2212";
  return tail === 0 ? `w(L) = e<sup>${minus}${ofL(slope)}</sup>` : `w(L) = (1 + ${ofL(tail * slope)})<sup>${minus}${short(1 / tail)}</sup>`;
}

/** What is the case, in words, and whether the loss goes on growing (1) or rests at a bound (0). */
export function sentence(values) {
  const name = nameOf(values);
  const start = name ? `${name}: ` : "";
  const most = bound(values);
  const words = most < Infinity ? `bounded, a wrong label costs at most ${short(most)}` : "unbounded, a wrong label may cost any amount";
  return [start ? start + words : words[0].toUpperCase() + words.slice(1), most < Infinity ? 0 : 1];
}

/** The state as one sentence with its numbers. */
export function inWords(values) {
  return `Robust losses as places on a map of tail s and slope k, both from 0 to 2. At s = ${format(values.tail)}, k = ${format(values.slope)} `
    + `the weight on a sample's gradient is ${format(weight(Math.log(10), values), 3)} at a loss of log 10 and ${format(weight(6, values), 3)} at 6. `
    + `${sentence(values)[0]}.`;
}

/** Of a place to which a pointer drags: on TCE's curve where it is near, else on the grid of hundredths. */
export function snap([tail, slope], near) {
  const found = Array.from({ length: 151 }, (_, i) => tce((50 + i) / 100)).map((place) => [Math.hypot(place.tail - tail, place.slope - slope), place]);
  const [distance, closest] = found.reduce((a, b) => (b[0] < a[0] ? b : a));
  const grid = (value) => Number(Math.max(0, Math.min(2, value)).toFixed(2));
  return distance < near ? closest : { tail: grid(tail), slope: grid(slope) };
}

// ---- the pictures ----

const LOSS = axis(0, 8);
const WEIGHT = axis(0, 1.15);
const EDGE = 0.12; // around the map, so that its edges can be seen and held
const SIDE = axis(-EDGE, 2 + EDGE);
const PROBES = [[Math.log(10), "log 10"], [6, "6"]]; // a guess among ten classes; confidently wrong
const stroke = (colour, width, more = "") => ({ style: `stroke: var(--lf-${colour}); stroke-width: ${width}; ${more}` });
const DASHES = { "cross entropy": "none", "Huberised CE": "7 4", "symmetric CE": "2 4" };
const muted = (name) => ({ class: "lf-still-curve", ...stroke("muted", 1.5, `stroke-dasharray: ${DASHES[name]}`) });
const grid = (count, end) => Array.from({ length: count + 1 }, (_, i) => (end * i) / count);

/** The map: TCE's curve, GCE's edge, the edge of cross entropy, the bounded half, and names at their places. */
function map() {
  const region = svg("path", { style: "fill: var(--lf-method); fill-opacity: .07; stroke: none" });
  const [curve, gce, ce] = [["method", 2.5], ["muted", 4], ["muted", 4]]
    .map(([colour, width]) => svg("path", { class: "lf-still-curve", ...stroke(colour, width) }));
  const named = [[tce(0.5), "α = ½, Charbonnier", "calc(-100% + 14px), 14px"], [tce(1), "α = 1, Cauchy", "14px, calc(-100% - 4px)"],
    [tce(2), "α = 2, Geman–McClure", "14px, calc(-100% - 3px)"], [members.MAE, "MAE", "14px, 4px"]];
  const dots = named.map(() => svg("circle", { r: 4, style: "fill: var(--lf-ink); stroke: none" }));
  const ticks = [0, 0.5, 1, 1.5, 2].map((value) => [value, String(value)]);
  const face = plot({ x: SIDE, xTicks: ticks, xName: "tail s", yName: "slope k at L = 0" }, region, curve, gce, ce, ...dots);
  face.set(SIDE, ticks);
  setAttributes(region, { d: `${face.line([[0, 0], [1, 0], [1, 2], [0, 2]])} Z` });
  setAttributes(curve, { d: face.line(grid(60, 1.5).map((more) => [1 / (0.5 + more), 0.5 + more])) });
  setAttributes(gce, { d: face.line([[0, 0], [0, 1]]) });
  setAttributes(ce, { d: face.line([[0, 0], [2, 0]]) });
  const word = (text, at, shift, attributes) => {
    const node = tag(text, attributes);
    face.node.append(node);
    face.hang(node, at, shift);
  };
  named.forEach(([{ tail, slope }, text, shift], i) => {
    const [cx, cy] = face.at([tail, slope]);
    setAttributes(dots[i], { cx, cy });
    word(text, [tail, slope], shift);
  });
  word("TCE", [1 / 1.4, 1.4], "10px, calc(-100% - 2px)", { "data-method": true });
  word("GCE", [0, 0.62], "14px, -50%");
  word("cross entropy", [0, 0], "6px, calc(-100% - 6px)");
  word("bounded", [0.42, 1.25], "-50%, -50%", { "data-strong": true });
  word("unbounded", [1.5, 1.75], "-50%, -50%", { "data-strong": true });
  return face;
}

/** The weight of the member over the loss, beside three that stand still. */
function curves() {
  const still = Object.keys(DASHES).map((name) => svg("path", muted(name)));
  const plumbs = PROBES.map(() => svg("path", stroke("muted", 1, "stroke-dasharray: 2 4")));
  const member = svg("path", { class: "lf-member", ...stroke("method", 3) });
  const dots = PROBES.map(() => svg("circle", { r: 5, style: "fill: var(--lf-method); stroke: none" }));
  const xTicks = [[0, "0"], ...PROBES, [4, "4"], [8, "8"]];
  const face = plot({ x: LOSS, xTicks, xName: "cross entropy L of the sample", yName: "weight w on its gradient p − y" }, ...still, ...plumbs, member, ...dots);
  face.node.style.cursor = "auto"; // nothing moves here
  face.set(WEIGHT, [0, 0.25, 0.5, 0.75, 1].map((value) => [value, String(value)]));
  const losses = grid(320, 8);
  const draw = (node, value) => setAttributes(node, { d: face.line(losses.map((loss) => [loss, value(loss)])) });
  Object.keys(DASHES).forEach((name, i) => draw(still[i], others[name]?.weight ?? (() => 1)));
  const words = [tag("cross entropy"), tag("symmetric CE, 4.1 at L = 0")];
  face.node.append(...words);
  face.hang(words[0], [8, 1], "-100%, 4px");
  face.hang(words[1], [1.34, WEIGHT.to], "8px, 0");
  return {
    ...face,
    show(values) {
      draw(member, (loss) => weight(loss, values));
      PROBES.forEach(([loss], i) => {
        const point = [loss, weight(loss, values)];
        const [cx, cy] = face.at(point);
        setAttributes(plumbs[i], { d: face.line([[loss, 0], point]) });
        setAttributes(dots[i], { cx, cy });
      });
      setAttributes(face.image, { "aria-label": `The member's weight falls from 1 at L = 0 to ${format(weight(8, values), 3)} at 8.` });
    },
  };
}

/** The numbers behind the curves, each row with a sample of its line. */
function table() {
  const sample = (style) => svg("svg", { viewBox: "0 0 24 10", width: 20, height: 10, "aria-hidden": "true", style: "margin-right: 6px; vertical-align: middle" },
    svg("path", { d: "M0 5 H24", ...style }));
  const apart = { style: "padding-left: 8px; white-space: nowrap" };
  const head = (text) => html("th", { scope: "col", ...apart }, text);
  const row = (name, style) => {
    const cells = Array.from({ length: 3 }, () => html("td", apart));
    const set = (value, most) => [...PROBES.map(([loss]) => format(value(loss), 3)), short(most)]
      .forEach((text, i) => setText(cells[i], text));
    return { set, node: html("tr", { "data-main": name === "this one" }, html("th", { scope: "row" }, sample(style), name), ...cells) };
  };
  const first = row("this one", stroke("method", 3));
  const rest = Object.keys(DASHES).map((name) => row(name, { ...muted(name), class: null }));
  Object.keys(DASHES).forEach((name, i) => rest[i].set(others[name]?.weight ?? (() => 1), others[name]?.bound ?? Infinity));
  const node = html("table", { class: "lf-table" },
    html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "weight at L ="), ...PROBES.map(([, text]) => head(text)), head("cost ≤"))),
    html("tbody", {}, first.node, ...rest.map((one) => one.node)));
  return { node, set: (values) => first.set((loss) => weight(loss, values), bound(values)) };
}

/** The face of the figure, as anywidget and the book's loader call it; returns what takes it down again. */
function render({ model, el }) {
  const read = () => ({ tail: model.get("tail"), slope: model.get("slope") });
  const write = (changes) => {
    for (const [key, value] of Object.entries(changes)) model.set(key, value);
    model.save_changes();
  };
  const start = read();
  const root = frame(el, { name: "robust-family", method: "tce", label: "Live figure: one family of robust losses, by slope and tail" });
  const [chart, weights, numbers, status] = [map(), curves(), table(), statusLine()];
  const unit = 1 + EDGE; // of the handle's coordinates, which run from −1 to 1 across the map
  const handle = planeHandle({
    plane: chart.node, view: 1, limit: 1 / unit, grid: 0.01 / unit, step: 0.05 / unit, names: ["tail s", "slope k"],
    onMove: (point) => write(snap(point.map((value) => 1 + unit * value), handle.node.classList.contains("lf-held") ? 0.06 : 0)),
  });
  const buttons = Object.entries(members).map(([name, place]) => [button(name, () => write(place), { pressed: false }), place]);
  const say = html("p", { class: "lf-say" });
  say.innerHTML = "Drag the point over the map. All these losses push along p\u00a0−\u00a0y; they differ in the <b class='lf-method'>weight</b>. The slope "
    + "says how soon it fades, the tail how slowly after that: below a tail of 1 the loss is bounded.";
  const member = html("p", { class: "lf-formula" });
  root.append(
    html("div", { class: "lf-body" }, chart.node, weights.node),
    html("div", { class: "lf-body", style: "margin-top: 18px; align-items: start" },
      html("div", { class: "lf-panel" }, say, html("div", { class: "lf-buttons" }, ...buttons.map(([node]) => node), button("Reset", () => write(start)))),
      html("div", { class: "lf-panel" }, member, numbers.node, status.node)),
  );

  const draw = () => {
    const shown = read();
    setAttributes(chart.image, { "aria-label": inWords(shown) });
    handle.set([shown.tail, shown.slope].map((value) => (value - 1) / unit), `tail s = ${format(shown.tail)}, slope k = ${format(shown.slope)}`);
    weights.show(shown);
    numbers.set(shown);
    status.set(...sentence(shown));
    if (member.innerHTML !== formula(shown)) member.innerHTML = formula(shown);
    for (const [node, place] of buttons) {
      node.setAttribute("aria-pressed", place.tail === shown.tail && place.slope === shown.slope);
    }
  };
  return drawOnChange({ model, names: Object.keys(defaults), root, draw });
}

export default { render };
