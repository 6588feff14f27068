/**
 * The kit: what every live figure is made of.
 *
 * Small builders for HTML and SVG, handles that pointer, touch, keyboard and screen reader can move, bars, slider rows,
 * buttons, plots, one spoken line, and the style they share. Python joins this file in front of a figure and puts the light theme's value
 * behind each token, for pages that have none (companion/widgets/_scripts.py). Colours come from the book's tokens alone; the method's
 * is the figure's choice: `frame(el, { method: "pon", … })`.
 */

/** Set the attributes of a node that differ; null and false remove one, true sets it empty. */
export function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    const text = value === true ? "" : String(value);
    if (value === null || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== text) node.setAttribute(name, text);
  }
  return node;
}

/** Build an HTML element. */
export function html(tag, attributes = {}, ...children) {
  const node = setAttributes(document.createElement(tag), attributes);
  node.append(...children);
  return node;
}

let svgNamespace = null;

/** Build an SVG element. The namespace is asked of the browser, so that this file holds no address at all. */
export function svg(tag, attributes = {}, ...children) {
  if (svgNamespace === null) {
    const box = document.createElement("div");
    box.innerHTML = "<svg></svg>";
    svgNamespace = box.firstChild.namespaceURI;
  }
  const node = setAttributes(document.createElementNS(svgNamespace, tag), attributes);
  node.append(...children);
  return node;
}

/** Write a node's text if it differs, so that a move touches only what it changes. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A number with a fixed count of digits and a true minus sign; never a negative zero. */
export function format(value, digits = 2, { sign = false } = {}) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "\u2212" : sign ? "+" : "") + text;
}

/** A fresh id, unique on the page also when several figures carry a kit of their own. */
export function freshId(stem) {
  return `lf-${stem}-${Math.random().toString(36).slice(2, 10)}`;
}

/**
 * The empty frame of a figure: the style is put into the page (or shadow root) once.
 *
 * `method` is the token of the method's colour, "pon" or "nl" (companion/papers): in the figure's own drawing, in sliders, switches
 * and arrows it is `var(--lf-method)`. A figure that belongs to no method leaves it out and is drawn in ink.
 */
export function frame(el, { name, label, method = "ink", compact = false }) {
  const home = el.getRootNode();
  const place = home instanceof Document || !(home instanceof DocumentFragment) ? document.head : home;
  if (!place.querySelector("style[data-lf]")) {
    const style = html("style", { "data-lf": true });
    style.textContent = STYLE;
    place.append(style);
  }
  const root = html("div", { class: `lf lf-${name}${compact ? " lf-compact" : ""}`, role: "group", "aria-label": label });
  root.style.setProperty("--lf-method", `var(--luc-${method}, var(--lf-ink))`);
  el.replaceChildren(root);
  return root;
}

/** A line that says what is the case now. Screen readers hear it when (and only when) its words change. */
export function statusLine() {
  const arrow = svg("path", { d: "M3 13 L13 3 M5.5 3 H13 V10.5" });
  const rest = svg("path", { d: "M3.5 8 H12.5" });
  const icon = svg("svg", { viewBox: "0 0 16 16", class: "lf-turn", "aria-hidden": "true" }, arrow, rest);
  const words = html("span", { role: "status", "aria-live": "polite" });
  const node = html("p", { class: "lf-status" }, icon, words);
  return {
    node,
    /** direction: 1 grows, -1 shrinks, 0 rests. */
    set(text, direction) {
      setText(words, text);
      setAttributes(icon, { "data-direction": direction });
    },
  };
}

/** The share of the track that a bar of any value from 0 to infinity takes: even for small values, and never full. Show it by `ticks`. */
export const squeezed = (value) => value / (1 + value);

/**
 * A named bar with its number (a meter, read on demand and never announced). `full` is the value of the whole track, beyond which the bar
 * runs off it with a soft end; or `part` says which share of the track a value takes, as `squeezed` does.
 */
export function bar({ label, full = Infinity, part = (value) => value / full, kind, digits = 3 }) {
  const fill = html("span", { class: "lf-fill" });
  const number = html("span", { class: "lf-number", "aria-hidden": "true" });
  const track = html("span", { class: "lf-track", role: "meter", "aria-label": label, "aria-valuemin": 0 }, fill);
  const node = html("div", { class: `lf-row lf-bar lf-${kind}` }, html("span", { class: "lf-name" }, label), track, number);
  return {
    node,
    set(value) {
      const text = format(value, digits);
      fill.style.width = `${100 * Math.min(1, part(value))}%`;
      setAttributes(fill, { "data-over": value > full });
      setAttributes(track, { "aria-valuenow": text, "aria-valuemax": full === Infinity ? text : Math.max(full, value), "aria-valuetext": text });
      setText(number, text);
    },
  };
}

/** The numbers of the tracks above it, each where a bar of this value ends. */
export function ticks({ values, part }) {
  const marks = values.map((value) => {
    const mark = html("span", {}, value === Infinity ? "\u221e" : String(value));
    mark.style.left = `${100 * (value === Infinity ? 1 : part(value))}%`;
    return mark;
  });
  return html("div", { class: "lf-row lf-ticks", "aria-hidden": "true" }, html("span", { class: "lf-name" }), html("span", { class: "lf-lane" }, ...marks), html("span"));
}

/**
 * An arrow from the end of the first bar to the end of the second, with the difference as a number: it shows the sign of the
 * difference, so it flips where the bars cross. `cut` greys it: the difference is there, but nothing follows from it.
 */
export function gapArrow({ label, full = Infinity, part = (value) => value / full, digits = 3 }) {
  const shaft = html("span", { class: "lf-gap" });
  const number = html("span", { class: "lf-number" });
  const node = html("div", { class: "lf-row lf-gaps" }, html("span", { class: "lf-name" }, label),
    html("span", { class: "lf-lane", "aria-hidden": "true" }, shaft), number);
  return {
    node,
    set(first, second, cut) {
      const [from, to] = [first, second].map((value) => 100 * Math.min(1, part(value)));
      shaft.style.left = `${Math.min(from, to)}%`;
      shaft.style.width = `${Math.abs(to - from)}%`;
      setAttributes(shaft, { "data-direction": Math.sign(Number((to - from).toFixed(2))) });
      setAttributes(node, { "data-cut": cut });
      setText(number, format(second - first, digits, { sign: true }));
    },
  };
}

/**
 * A native slider with its label and value; `onInput` hears numbers. Arrow keys are answered here, with Shift for ten steps, because
 * JupyterLab takes them for itself before a native slider sees them. `says` puts the value in words, where digits alone will not do.
 */
export function sliderRow({ label, min, max, step, digits = 1, says = (value) => format(value, digits), onInput }) {
  const id = freshId("slider");
  const input = html("input", { type: "range", id, min, max, step });
  const number = html("output", { class: "lf-number", for: id, "aria-hidden": "true" }); // the slider itself says its value
  const node = html("div", { class: "lf-row lf-slider" }, html("label", { for: id, class: "lf-name" }, label), input, number);
  input.addEventListener("input", () => onInput(Number(input.value)));
  input.addEventListener("keydown", (event) => {
    const direction = ARROWS[event.key];
    if (direction === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = Number(input.value) + direction * step * (event.shiftKey ? 10 : 1);
    onInput(Math.max(Number(input.min), Math.min(Number(input.max), Number(next.toFixed(6)))));
  });
  return {
    node,
    set(value) {
      input.min = Math.min(min, value);
      input.max = Math.max(max, value);
      input.value = value;
      input.style.setProperty("--lf-part", `${(100 * (value - input.min)) / (input.max - input.min)}%`);
      setText(number, says(value));
      setAttributes(input, { "aria-valuetext": says(value) });
    },
  };
}

/** A button in words; `pressed` (true or false) makes it a switch. */
export function button(label, onClick, { pressed = null } = {}) {
  const node = html("button", { type: "button", class: "lf-button", "aria-pressed": pressed }, label);
  node.addEventListener("click", onClick);
  return node;
}

/** A few words of which one is chosen, looking like buttons: native radio buttons, so Tab finds the group and arrow keys move in it. */
export function choice({ label, words, onChoose }) {
  const name = freshId("choice");
  const inputs = words.map((word) => html("input", { type: "radio", name, value: word, class: "lf-hidden" }));
  const node = html("div", { class: "lf-buttons", role: "radiogroup", "aria-label": label },
    ...words.map((word, i) => html("label", { class: "lf-button lf-choice" }, inputs[i], word)));
  inputs.forEach((input, i) => {
    input.addEventListener("change", () => onChoose(words[i]));
    input.addEventListener("keydown", (event) => {
      const direction = ARROWS[event.key];
      if (direction === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const next = (i + direction + words.length) % words.length;
      inputs[next].focus();
      onChoose(words[next]);
    });
  });
  return { node, set: (word) => inputs.forEach((input) => { input.checked = input.value === word; }) };
}

const ARROWS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };

/**
 * A button that takes steps by itself, eight a second, until it is pressed again: `take` takes one and says whether it could. It rests
 * while `root` is out of view; for readers who want no motion it takes twenty at once.
 */
export function playButton({ root, take }) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const words = calm ? "Play 20 steps" : "Play";
  let timer = null;
  let seen = true;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    setText(node, words);
  };
  const start = () => {
    timer = setInterval(() => seen && !take() && stop(), 125);
    setText(node, "Pause");
    if (!take()) stop();
  };
  const node = button(words, () => {
    if (calm) for (let count = 0; count < 20 && take(); count += 1);
    else if (timer === null) start();
    else stop();
  });
  node.classList.add("lf-play");
  const watch = new IntersectionObserver((entries) => (seen = entries.at(-1).isIntersecting));
  watch.observe(root);
  const forget = () => {
    stop();
    watch.disconnect();
  };
  return { node, stop, forget, playing: () => timer !== null };
}

/** A word in a picture, hung at one of its edges: sides is for example { left: 3, top: 3 }, in percent. */
export function tagAt(sides, attributes = {}) {
  const node = html("span", { class: "lf-tag", "aria-hidden": "true", ...attributes });
  for (const [side, percent] of Object.entries(sides)) node.style[side] = `${percent}%`;
  if ("right" in sides) node.style.textAlign = "right";
  return node;
}

/**
 * A handle in a plane of two coordinates, each in [-limit, limit]; the picture shows [-view, view].
 *
 * Mouse: press anywhere in the plane. Touch: drag the handle (the page still scrolls elsewhere) or tap. Of several handles the nearest
 * comes. Keyboard: arrow keys, Shift for ten steps. Screen readers meet two native sliders, one a coordinate. `onMove` hears the new
 * point, on the grid of `grid`.
 */
export function planeHandle({ plane, view, limit, grid, step, names, onMove }) {
  const inputs = names.map((name, axis) =>
    html("input", {
      type: "range", class: "lf-hidden", min: -limit, max: limit, step: "any", "aria-label": name,
      "aria-roledescription": "two-dimensional slider", tabindex: axis === 0 ? 0 : -1,
    }));
  const node = html("div", { class: "lf-handle lf-breathing" }, html("span", { class: "lf-halo" }), html("span", { class: "lf-dot" }), ...inputs);
  plane.append(node);
  let point = [0, 0];
  let grip = null;

  const onGrid = (value) => Math.max(-limit, Math.min(limit, Math.round(value / grid) * grid));
  const move = (target) => {
    node.classList.remove("lf-breathing");
    const next = target.map((value) => Number(onGrid(value).toFixed(6)));
    if (next[0] !== point[0] || next[1] !== point[1]) onMove(next);
  };
  const where = (event) => {
    const box = plane.getBoundingClientRect();
    return [(2 * (event.clientX - box.left)) / box.width - 1, 1 - (2 * (event.clientY - box.top)) / box.height].map((v) => v * view);
  };
  const far = (handle, { clientX, clientY }) => {
    const box = handle.getBoundingClientRect();
    return Math.hypot(clientX - box.left - box.width / 2, clientY - box.top - box.height / 2);
  };
  /** Whether the pointer is for this handle: no other in the plane has taken it or is nearer to it, also where two overlap. */
  const mine = (event) => !event.defaultPrevented && [...plane.querySelectorAll(".lf-handle")]
    .reduce((best, other) => (far(other, event) < far(best, event) ? other : best)) === node;
  const onAny = (event) => event.target.closest(".lf-handle") !== null;

  plane.addEventListener("pointerdown", (event) => {
    const onHandle = onAny(event);
    if (event.button !== 0 || (event.pointerType !== "mouse" && !onHandle) || !mine(event)) return;
    event.preventDefault();
    const start = where(event);
    grip = onHandle ? point.map((value, axis) => value - start[axis]) : [0, 0];
    node.setPointerCapture(event.pointerId);
    node.classList.add("lf-held");
    inputs[0].focus({ preventScroll: true });
    move(start.map((value, axis) => value + grip[axis]));
  });
  node.addEventListener("pointermove", (event) => {
    if (grip !== null) move(where(event).map((value, axis) => value + grip[axis]));
  });
  const release = () => {
    grip = null;
    node.classList.remove("lf-held");
  };
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) node.addEventListener(end, release);
  plane.addEventListener("click", (event) => {
    if (event.pointerType === "mouse" || event.detail === 0 || onAny(event) || !mine(event)) return;
    event.preventDefault();
    move(where(event));
  });

  const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
  inputs.forEach((input, axis) => {
    input.addEventListener("keydown", (event) => {
      const direction = directions[event.key];
      if (direction === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      move(point.map((value, i) => value + direction[i] * step * (event.shiftKey ? 10 : 1)));
    });
    input.addEventListener("input", () => move(point.map((value, i) => (i === axis ? Number(input.value) : value))));
  });

  return {
    node,
    set(next, spoken) {
      point = next;
      node.style.left = `${50 + (50 * next[0]) / view}%`;
      node.style.top = `${50 - (50 * next[1]) / view}%`;
      inputs.forEach((input, axis) => {
        input.value = next[axis];
        setAttributes(input, { "aria-valuetext": spoken });
      });
    },
  };
}

/** The path through points, y upwards. */
export const lineThrough = (...points) => `M${points.map(([x, y]) => `${x.toFixed(4)} ${(-y).toFixed(4)}`).join(" L")}`;

/** The path of an arrow from one point to another (y upwards); the head never outgrows the arrow. */
export function arrowPath([x0, y0], [x1, y1], head = 0.3) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (length < 0.02) return { shaft: "", head: "" };
  const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
  const h = Math.min(head, 0.7 * length);
  const [bx, by] = [x1 - ux * h, y1 - uy * h];
  const w = 0.42 * h;
  const at = (x, y) => `${x.toFixed(4)} ${(-y).toFixed(4)}`;
  return {
    shaft: `M${at(x0, y0)} L${at(bx, by)}`,
    head: `M${at(x1, y1)} L${at(bx - uy * w, by + ux * w)} L${at(bx + uy * w, by - ux * w)} Z`,
  };
}

/** The path of an arrow that goes on beyond the point where the picture cuts it: no head, and an end in dashes. */
export function openPath([x0, y0], [x1, y1]) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (length < 0.02) return { shaft: "", head: "" };
  const tail = Math.min(1, 0.8 / length);
  const line = (from, to) => lineThrough(...[from, to].map((t) => [x0 + t * (x1 - x0), y0 + t * (y1 - y0)]));
  return { shaft: [line(0, 1 - tail), line(1 - 0.75 * tail, 1 - 0.5 * tail), line(1 - 0.25 * tail, 1)].join(" "), head: "" };
}

/** Which part of a vector v at z is drawn: up to the square [−side, side]², and no further than the origin if it points straight there. */
export function visiblePart(z, v, side) {
  const room = z.map((from, i) => (v[i] === 0 ? Infinity : Math.max(0, side - Math.sign(v[i]) * from) / Math.abs(v[i])));
  const inward = -(z[0] * v[0] + z[1] * v[1]);
  const straight = inward > 0 && Math.abs(z[0] * v[1] - z[1] * v[0]) < 1e-9;
  return Math.min(1, ...room, straight ? (z[0] ** 2 + z[1] ** 2) / inward : 1);
}

/** Draw a vector at a point with two nodes, shaft and head; of a `part` below 1 only that, with an open end. */
export function drawArrow({ shaft, head }, from, vector, part = 1) {
  const path = (part < 1 ? openPath : arrowPath)(from, from.map((value, i) => value + part * vector[i]));
  setAttributes(shaft, { d: path.shaft });
  setAttributes(head, { d: path.head });
}

/** The trail of a walk: its last points, a thin line with a dot at each step, and how many steps it took. */
export function trail({ kept = 200 } = {}) {
  const style = (width) => `stroke: var(--lf-ink); stroke-opacity: .6; stroke-width: ${width}; stroke-linecap: round`;
  const line = svg("path", { class: "lf-trail", style: style(1) });
  const dots = svg("path", { class: "lf-dots", style: style(4) });
  let points = [];
  let count = 0;
  const show = () => {
    setAttributes(line, { d: points.length ? lineThrough(...points) : "" });
    setAttributes(dots, { d: points.map((point) => `${lineThrough(point)} h0`).join(" ") });
  };
  return {
    nodes: [line, dots],
    count: () => count,
    endsAt: (point) => points.length > 0 && points.at(-1).every((value, i) => value === point[i]),
    add(from, to) {
      points = [...(count ? points : [from]), to].slice(-kept);
      count += 1;
      show();
    },
    clear() {
      points = [];
      count = 0;
      show();
    },
  };
}

// ---- plots ----

const [WIDE, HIGH] = [500, 400]; // the picture of a plot, in the units of its svg

/** An axis: `share` says where a value stands between its ends (0 to 1), `value` which value stands at a share. */
export function axis(from, to, { log = false } = {}) {
  const [into, out] = log ? [Math.log, Math.exp] : [(value) => value, (value) => value];
  const [start, span] = [into(from), into(to) - into(from)];
  return { from, to, share: (value) => (into(value) - start) / span, value: (share) => out(start + share * span) };
}

/** Heights for labels that want to stand at these, ascending: moved as little as keeps `gap` between two and all in [low, high]. */
export function spread(wanted, gap, low, high) {
  const found = [];
  for (const value of wanted) found.push(Math.max(value, found.length ? found.at(-1) + gap : low));
  for (let i = found.length - 1; i >= 0; i -= 1) found[i] = Math.min(found[i], i + 1 < found.length ? found[i + 1] - gap : high);
  return found;
}

/** A word in a picture; it is placed by `plot`'s `hang`. */
export const tag = (text, attributes = {}) => html("span", { class: "lf-tag", "aria-hidden": "true", ...attributes }, text);

/**
 * A plot: the svg is what lies between the axes, so it cuts off what runs out of them; numbers and names hang around it. Ticks are pairs
 * of a value and its text. `set` gives it the upright axis, which may change; then `at` says where a pair of values lies in the svg, `line`
 * makes a path through such pairs, and `hang` puts a word there, moved by a CSS translation.
 */
export function plot({ x, xTicks, xName, yName }, ...nodes) {
  const grid = svg("path", { style: "stroke: var(--lf-rule); stroke-width: 1" });
  const image = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img" }, grid, ...nodes);
  const [across, upright] = [html("div"), html("div")];
  const node = html("div", { class: "lf-plane lf-plot" }, image, across, upright,
    tag(xName, { class: "lf-tag lf-x-name" }), tag(yName, { class: "lf-tag lf-y-name" }));
  const percent = (share) => `${(100 * share).toFixed(3)}%`;
  const hangAt = (word, left, top, shift) => {
    Object.assign(word.style, { left: percent(left), top: percent(top), transform: `translate(${shift})` });
    return word;
  };
  let y = null;
  const at = ([u, v]) => [WIDE * x.share(u), HIGH * (1 - y.share(v))];
  across.append(...xTicks.map(([value, text]) => hangAt(tag(text), x.share(value), 1, "-50%, 9px")));
  return {
    node, image, at,
    line: (points) => `M${points.map((point) => at(point).map((value) => value.toFixed(2)).join(" ")).join(" L")}`,
    hang: (word, [u, v], shift) => hangAt(word, x.share(u), 1 - y.share(v), shift),
    set(axisOfY, yTicks) {
      y = axisOfY;
      upright.replaceChildren(...yTicks.map(([value, text]) => hangAt(tag(text), 0, 1 - y.share(value), "calc(-100% - 8px), -50%")));
      setAttributes(grid, { d: yTicks.map(([value]) => `M0 ${HIGH * (1 - y.share(value))} H${WIDE}`).join(" ") });
    },
  };
}

/**
 * A handle that runs along a curve of a plot: one value, moved by mouse, finger, arrow keys and screen reader as `planeHandle` is.
 * `nudge` says which value lies some steps from another; `onMove` hears values that may lie outside the figure's limits.
 */
export function curveHandle({ plane, x, name, nudge, onMove }) {
  let value = x.from;
  const { node, set } = planeHandle({
    plane, view: 1, limit: 1, grid: 1e-4, step: 0, names: [name], onMove: ([place]) => onMove(x.value((place + 1) / 2)),
  });
  setAttributes([...node.children].at(-1), { "aria-roledescription": null });
  node.addEventListener("keydown", (event) => {
    const direction = ARROWS[event.key];
    if (direction === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation(); // the plane's own keys would move it in two directions
    node.classList.remove("lf-breathing");
    onMove(nudge(value, direction * (event.shiftKey ? 10 : 1)));
  }, true);
  const inside = (share) => 2 * Math.max(0, Math.min(1, share)) - 1;
  return {
    node,
    /** The value, how high it stands in the plot (0 to 1), and what a screen reader hears. */
    set(next, height, spoken) {
      value = next;
      set([inside(x.share(next)), inside(height)], spoken);
    },
  };
}

/** The style of the picture alone, which is all that stands where no script runs. */
export const PICTURE = `
.lf { --lf-page: var(--luc-page); --lf-card: var(--luc-card); --lf-ink: var(--luc-ink);
  --lf-muted: var(--luc-muted); --lf-rule: var(--luc-rule);
  container-type: inline-size; box-sizing: border-box; max-width: 1080px; margin: 0; padding: 18px; border-radius: 12px;
  background: var(--lf-card); color: var(--lf-ink); text-align: left;
  font: 400 16px/1.45 var(--luc-sans, "Source Sans Pro", "Source Sans 3", system-ui, sans-serif); font-variant-numeric: tabular-nums; }
.lf *, .lf *::before, .lf *::after { box-sizing: border-box; }
.lf p { margin: 0; font: inherit; color: inherit; }
.lf-body { display: grid; gap: 18px; align-items: center; }
.lf-plane { position: relative; width: 100%; max-width: 520px; aspect-ratio: 1; margin: 0 auto; cursor: crosshair; user-select: none;
  -webkit-user-select: none; touch-action: pan-y pinch-zoom; -webkit-tap-highlight-color: transparent; }
.lf-plane > svg { position: absolute; inset: 0; width: 100%; height: 100%; display: block; border-radius: 6px; background: var(--lf-page); }
.lf-plane path, .lf-plane circle { vector-effect: non-scaling-stroke; fill: none; }
.lf-tag { position: absolute; pointer-events: none; font-size: 13px; line-height: 1.2; color: var(--lf-muted); white-space: pre; }
.lf-tag[data-strong] { font-weight: 600; }
.lf-tag[data-method] { color: var(--lf-method); font-weight: 600; }
.lf-tag sub { font-size: .78em; line-height: 0; }
.lf .lf-plot { width: auto; max-width: none; aspect-ratio: 5 / 4; margin: 46px 20px 60px 52px; }
.lf-plot::before { content: ""; position: absolute; inset: -46px -20px -60px -52px; border-radius: 6px; background: var(--lf-page); }
.lf-plot > svg { border: 0 solid var(--lf-muted); border-width: 0 0 1px 1px; border-radius: 0; }
.lf-x-name { right: 0; bottom: -50px; }
.lf-y-name { left: -42px; top: -36px; }
.lf-plate { padding: 0 4px; border-radius: 4px; background: color-mix(in srgb, var(--lf-page) 94%, transparent); }
.lf-plate b { color: var(--lf-ink); font-weight: 600; }
.lf-handle { position: absolute; width: 44px; height: 44px; margin: -22px 0 0 -22px; border-radius: 50%; cursor: grab; touch-action: none; }
.lf-held { cursor: grabbing; }
.lf-halo, .lf-dot { position: absolute; border-radius: 50%; pointer-events: none; }
.lf-halo { inset: 0; background: var(--lf-ink); opacity: .13; }
.lf-handle:hover .lf-halo, .lf-held .lf-halo { opacity: .2; }
.lf-dot { inset: 15px; background: var(--lf-ink); box-shadow: 0 0 0 2px var(--lf-page); }
.lf-recorded { visibility: hidden; } /* what a reader is to guess first; where scripts will run, its picture waits for them */
.lf-still .lf-recorded, .lf[data-shown] .lf-recorded { visibility: visible; }
@media print { .lf-recorded { visibility: visible; } }
@media (scripting: enabled) {
  .lf-still:has(.lf-recorded), .lf-still:has(.lf-recorded) + .luc-live-words { animation: lf-wait 4s step-end; }
}
@keyframes lf-wait { from { opacity: 0; } }
.lf-hollow .lf-dot { background: var(--lf-page); border: 3px solid var(--lf-ink); }
.lf-still { max-width: 420px; }
.lf-still .lf-halo { display: none; } /* nothing can be taken hold of */
.lf-still .lf-plane, .lf-still .lf-handle { cursor: auto; }
.lf-still + .luc-live-words { max-width: 680px; margin: .6em 0 0; }
`;

const STYLE = `${PICTURE}
.lf-hidden { position: absolute; inset: 0; width: 44px; height: 44px; margin: 0; opacity: 0; pointer-events: none; }
.lf-handle:has(:focus-visible) { outline: 2px solid var(--lf-method); outline-offset: 2px; }
.lf-panel { display: grid; gap: 12px; min-width: 0; }
.lf-say b { font-weight: 600; }
.lf-say .lf-method { color: var(--lf-method); }
.lf-say .lf-across { color: var(--lf-muted); }
.lf-row { display: grid; grid-template-columns: max-content minmax(0, 1fr) 4rem; gap: 10px; align-items: center; }
.lf-rows { display: grid; grid-template-columns: max-content minmax(0, 1fr) 4rem; gap: 8px 10px; }
.lf-rows > .lf-row { grid-column: 1 / -1; grid-template-columns: subgrid; } /* all tracks begin and end at the same place */
.lf-name { font: inherit; color: inherit; margin: 0; font-weight: 400; min-width: 6.2em; white-space: nowrap; }
.lf-number { font: inherit; font-weight: 600; text-align: right; color: inherit; display: block; padding: 0; }
.lf-track { display: block; height: 12px; border-radius: 6px; overflow: hidden; background: color-mix(in srgb, var(--lf-rule) 55%, transparent); }
.lf-fill { display: block; height: 100%; border-radius: 6px; background: var(--lf-ink); }
.lf-second .lf-fill { background: var(--lf-muted); }
.lf-bar.lf-method .lf-fill { background: var(--lf-method); }
.lf-fill[data-over] { border-radius: 6px 0 0 6px; -webkit-mask-image: linear-gradient(90deg, #000 80%, transparent);
  mask-image: linear-gradient(90deg, #000 80%, transparent); }
.lf-lane { position: relative; display: block; height: 12px; }
.lf-ticks { margin-top: -6px; color: var(--lf-muted); }
.lf-ticks span span { position: absolute; top: 0; transform: translateX(-50%); padding-top: 5px; font-size: 12px; line-height: 1; }
.lf-ticks span span::before { content: ""; position: absolute; left: 50%; top: 0; height: 4px; border-left: 1px solid; }
.lf-ticks .lf-lane { height: 17px; }
.lf-gap { position: absolute; top: 5px; height: 2.5px; border-radius: 2px; background: var(--lf-method); }
.lf-gap[data-direction="0"] { display: none; }
.lf-gap::after { content: ""; position: absolute; top: -4px; border: 5px solid transparent; }
.lf-gap[data-direction="1"]::after { right: -3px; border-left: 8px solid var(--lf-method); border-right: 0; }
.lf-gap[data-direction="-1"]::after { left: -3px; border-right: 8px solid var(--lf-method); border-left: 0; }
.lf-gaps[data-cut] .lf-lane { opacity: .35; filter: grayscale(1); }
.lf-gaps .lf-name, .lf-gaps[data-cut] .lf-number { color: var(--lf-muted); }
.lf-status { display: flex; gap: 10px; align-items: flex-start; font-weight: 600; font-size: 17px; min-height: 2.9em; }
.lf .lf-status { font-weight: 600; font-size: 17px; }
.lf-turn { flex: none; width: 18px; height: 18px; margin-top: 3px; stroke: var(--lf-method); stroke-width: 2.4; fill: none;
  stroke-linecap: round; stroke-linejoin: round; }
.lf-turn path { transform-origin: 8px 8px; }
.lf-turn path:last-child, .lf-turn[data-direction="0"] path:first-child { display: none; }
.lf-turn[data-direction="0"] path:last-child { display: inline; stroke: var(--lf-muted); }
.lf-turn[data-direction="-1"] path:first-child { transform: rotate(180deg); }
.lf .lf-fact { display: grid; grid-template-columns: minmax(0, 12em) minmax(0, 1fr); gap: 0 1em; color: var(--lf-muted); font-size: 14.5px; }
.lf-fact span { white-space: nowrap; }
.lf-fact .lf-wide { grid-column: 1 / -1; white-space: normal; min-height: 2.9em; } /* two lines are kept, so that nothing moves when one wraps */
.lf-buttons { display: flex; flex-wrap: wrap; gap: 10px; }
.lf .lf-button { font: inherit; font-size: 15px; line-height: 1.2; min-height: 44px; padding: 8px 14px; color: var(--lf-ink); cursor: pointer;
  background: transparent; border: 1px solid color-mix(in srgb, var(--lf-muted) 55%, transparent); border-radius: 8px; margin: 0; box-shadow: none; }
.lf .lf-play { min-width: 5.2em; }
.lf .lf-button:hover { border-color: var(--lf-ink); }
.lf .lf-button[aria-pressed="true"] { border-color: var(--lf-method); color: var(--lf-method); box-shadow: inset 0 0 0 1px var(--lf-method); }
.lf .lf-choice { position: relative; display: inline-flex; align-items: center; }
.lf .lf-choice:has(:checked) { border-color: var(--lf-method); color: var(--lf-method); font-weight: 600; box-shadow: inset 0 0 0 1px var(--lf-method); }
.lf .lf-choice:has(:focus-visible), .lf .lf-button:focus-visible, .lf-slider input:focus-visible { outline: 2px solid var(--lf-method); outline-offset: 2px; }
.lf-slider input { -webkit-appearance: none; appearance: none; width: 100%; height: 28px; margin: 0; padding: 0; background: transparent; cursor: pointer;
  touch-action: pan-y; border-radius: 6px; }
.lf-slider input::-webkit-slider-runnable-track { height: 6px; border-radius: 3px;
  background: linear-gradient(90deg, var(--lf-method) var(--lf-part, 50%), var(--lf-rule) var(--lf-part, 50%)); }
.lf-slider input::-moz-range-track { height: 6px; border-radius: 3px; background: var(--lf-rule); }
.lf-slider input::-moz-range-progress { height: 6px; border-radius: 3px; background: var(--lf-method); }
.lf-slider input::-webkit-slider-thumb { -webkit-appearance: none; width: 18px; height: 18px; margin-top: -6px; border: 0; border-radius: 50%; background: var(--lf-method); }
.lf-slider input::-moz-range-thumb { width: 18px; height: 18px; border: 0; border-radius: 50%; background: var(--lf-method); }
.lf .lf-table { width: 100%; margin: 0; border-collapse: collapse; font: inherit; font-size: 15px; color: inherit; background: none; }
.lf .lf-table :is(th, td) { padding: 5px 0; border: 0; border-bottom: 1px solid var(--lf-rule); text-align: right; font-weight: 400; background: none; color: inherit; }
.lf .lf-table thead th { color: var(--lf-muted); }
.lf .lf-table tr > :first-child { text-align: left; position: static; background: none !important; } /* the book's tables keep it in view */
.lf .lf-table tr[data-main] > * { font-weight: 600; }
.lf-compact { max-width: 760px; }
@container (max-width: 440px) {
  .lf-buttons[role="radiogroup"] { gap: 6px; }
  .lf .lf-choice { padding: 8px 9px; font-size: 14px; }
}
@container (max-width: 800px) {
  .lf-dot { inset: 16px; }
}
.luc-live { scroll-margin: 72px 0 24px; }
.luc-states:not([hidden]) { display: flex; flex-wrap: wrap; gap: 10px; margin: 1em 0; }
.luc-states button, .luc-back { font: 400 16px/1.25 var(--luc-sans, "Source Sans Pro", "Source Sans 3", system-ui, sans-serif); min-height: 44px;
  padding: 8px 14px; color: var(--luc-ink); background: var(--luc-card); border: 1px solid var(--luc-muted); border-radius: 8px; margin: 0;
  cursor: pointer; text-align: left; }
.luc-states button:hover, .luc-back:hover { border-color: var(--luc-ink); }
.luc-states button:focus-visible, .luc-back:focus-visible { outline: 2px solid var(--luc-link); outline-offset: 2px; }
.luc-back { position: fixed; z-index: 10; right: 16px; bottom: 16px; }
@media print { .luc-states:not([hidden]), .luc-back { display: none; } }
@container (min-width: 600px) {
  .lf-body { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 24px; }
}
@media (prefers-reduced-motion: no-preference) {
  .lf-turn path { transition: transform .18s ease-out; }
  .lf-seen .lf-breathing .lf-halo { animation: lf-breathe 1.6s ease-in-out 2; }
}
@keyframes lf-breathe { 50% { transform: scale(1.35); opacity: .22; } }
@media (forced-colors: active) { .lf-fill, .lf-dot { forced-color-adjust: none; background: CanvasText; } }
`;

/** Tell the figure's root once that the reader sees it (the handle breathes from then on). Returns what ends the watch. */
function whenSeen(root) {
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    root.classList.add("lf-seen");
    watch.disconnect();
  }, { threshold: 0.4 });
  watch.observe(root);
  return () => watch.disconnect();
}

/** Draw a figure now and at every change of its values by name, and tell its root when the reader sees it. Returns what ends both. */
export function drawOnChange({ model, names, root, draw }) {
  const events = names.map((name) => `change:${name}`);
  for (const event of events) model.on(event, draw);
  const forget = whenSeen(root);
  draw();
  return () => {
    forget();
    for (const event of events) model.off(event, draw);
  };
}
