/**
 * The loader: mounts live figures in a page that has no kernel. A classic script, so that it also runs from a file on disk.
 *
 * A figure's place is an element with `data-widget` (which figure) and `data-model` (its values, JSON). What the element holds
 * until then is its fallback: it stays when scripts are off or the figure cannot be drawn.
 */

/** The part of a Jupyter widget model that figures use: get, set, save_changes, on, off. */
function makeModel(values) {
  const listeners = new Map();
  const tell = (event) => [...(listeners.get(event) ?? [])].forEach((listener) => listener());
  return {
    get: (key) => values[key],
    set(key, value) {
      if (JSON.stringify(values[key]) === JSON.stringify(value)) return;
      values[key] = value;
      tell(`change:${key}`);
      tell("change");
    },
    save_changes() {},
    on(event, listener) {
      if (!listeners.has(event)) listeners.set(event, new Set());
      listeners.get(event).add(listener);
    },
    off(event, listener) {
      listeners.get(event)?.delete(listener);
    },
  };
}

/** Mount every figure of the page that is not mounted yet. One figure's failure leaves the others, and its own fallback, alone. */
function mountAll(figures) {
  for (const place of document.querySelectorAll("[data-widget]:not([data-mounted])")) {
    const figure = figures[place.dataset.widget];
    const fallback = [...place.childNodes];
    try {
      if (figure === undefined) throw new Error("no such figure");
      const values = { ...structuredClone(figure.defaults), ...JSON.parse(place.dataset.model ?? "{}") };
      figure.render({ model: makeModel(values), el: place });
      place.dataset.mounted = "true";
    } catch (error) {
      place.replaceChildren(...fallback);
      console.error(`live figure ${place.dataset.widget}:`, error);
    }
  }
}

/** Mount now, or when the page has been read. */
function start(figures) {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => mountAll(figures));
  else mountAll(figures);
}
