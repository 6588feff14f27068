/**
 * The loader: mounts live figures in a page that has no kernel. A classic script, so that it also runs from a file on disk.
 *
 * A figure's place is an element with `data-widget` (which figure) and `data-model` (its values, JSON). What the element holds
 * until then is its fallback: it stays when scripts are off or the figure cannot be drawn. Places with the same `data-share` keep the
 * values equal that they have in common by name; a row with `data-states` holds buttons that put the figures of that share into a state.
 */

/** The part of a Jupyter widget model that figures use: get, set, save_changes, on, off; `tell` is the loader's own. */
function makeModel(values) {
  const listeners = new Map();
  const tell = (event) => [...(listeners.get(event) ?? [])].forEach((listener) => listener());
  return {
    tell,
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

/** The value that a figure with these limits can take instead of one from elsewhere: the nearest, or its own where there is none. */
function nearest(value, own, limits) {
  if (typeof value !== typeof own || (Array.isArray(own) && value.length !== own.length)) return own;
  if (limits === undefined || typeof own === "boolean") return value;
  if (typeof own === "string") return limits.includes(value) ? value : own;
  const inside = (one) => Math.max(limits[0], Math.min(limits[1], one));
  return Array.isArray(value) ? value.map(inside) : inside(value);
}

/**
 * What figures share: the values that somebody has set last, by name, and the figures that follow them. A figure whose limits forbid a
 * value stands at its nearest one; the others do not hear of that.
 */
function makeShare() {
  const values = {};
  const members = [];
  let spreading = false;
  const take = ({ model, limits }, key) => model.set(key, nearest(values[key], model.get(key), limits[key]));
  const spread = (key, from) => {
    spreading = true;
    try {
      for (const member of members) if (member !== from && member.keys.includes(key)) take(member, key);
    } finally {
      spreading = false;
    }
  };
  return {
    members,
    /** A new figure takes the values that are there, and adds those that are not. */
    join(model, { defaults, limits }, place) {
      const member = { model, limits, place, keys: Object.keys(defaults).filter((key) => key !== "compact") };
      for (const key of member.keys) {
        if (key in values) take(member, key);
        else values[key] = model.get(key);
        model.on(`change:${key}`, () => {
          if (spreading) return;
          values[key] = model.get(key);
          spread(key, member);
        });
      }
      members.push(member);
    },
    /** Put all figures into a state, and tell them that it is no step of theirs. */
    show(state) {
      for (const [key, value] of Object.entries(state)) {
        values[key] = value;
        spread(key, null);
      }
      for (const { model } of members) model.tell("msg:custom");
    },
  };
}

/** Where the reader sees no figure of a share, scroll to the one nearest to the button, and offer the way back. */
function reveal(share, button) {
  const boxes = share.members.map(({ place }) => ({ place, box: place.getBoundingClientRect() })).filter(({ box }) => box.height > 0);
  const seen = ({ box }) => Math.min(box.bottom, innerHeight) - Math.max(box.top, 0) >= 0.6 * Math.min(box.height, innerHeight);
  if (boxes.length === 0 || boxes.some(seen)) return;
  const here = button.getBoundingClientRect().top;
  boxes.sort((a, b) => Math.abs(a.box.top - here) - Math.abs(b.box.top - here));
  const [{ place, box }] = boxes;
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  place.scrollIntoView({ block: box.height < 0.8 * innerHeight ? "center" : "start", behavior });
  document.querySelector(".luc-back")?.remove();
  const back = Object.assign(document.createElement("button"), { type: "button", className: "luc-back", textContent: "Back to the text" });
  back.addEventListener("click", () => {
    button.scrollIntoView({ block: "center", behavior });
    button.focus({ preventScroll: true });
    back.remove();
  });
  let away = false;
  const watch = new IntersectionObserver(([{ isIntersecting }]) => {
    if (isIntersecting && away) {
      back.remove(); // the reader has come back without it
      watch.disconnect();
    }
    away = away || !isIntersecting;
  });
  watch.observe(button);
  place.prepend(back); // before the figure, so that Tab goes on into it
  back.focus({ preventScroll: true });
}

/** Show a row of buttons and let each put the figures of its share into its state. */
function mountStates(row, share) {
  if (share === undefined) return console.error(`buttons for "${row.dataset.states}": no figure of this page shares its values under this name`);
  for (const button of row.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      share.show(JSON.parse(button.dataset.set));
      reveal(share, button);
    });
  }
  row.hidden = false;
  row.dataset.mounted = "true";
}

/** Mount every figure of the page that is not mounted yet. One figure's failure leaves the others, and its own fallback, alone. */
function mountAll(figures) {
  const shares = new Map();
  for (const place of document.querySelectorAll("[data-widget]:not([data-mounted])")) {
    const figure = figures[place.dataset.widget];
    const fallback = [...place.childNodes];
    try {
      if (figure === undefined) throw new Error("no such figure");
      const values = { ...structuredClone(figure.defaults), ...JSON.parse(place.dataset.model ?? "{}") };
      const model = makeModel(values);
      const { share } = place.dataset;
      if (share && !shares.has(share)) shares.set(share, makeShare());
      if (share) shares.get(share).join(model, figure, place);
      figure.render({ model, el: place });
      place.dataset.mounted = "true";
    } catch (error) {
      place.replaceChildren(...fallback);
      console.error(`live figure ${place.dataset.widget}:`, error);
    }
  }
  for (const row of document.querySelectorAll("[data-states]:not([data-mounted])")) mountStates(row, shares.get(row.dataset.states));
}

/** Mount now, or when the page has been read. */
function start(figures) {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => mountAll(figures));
  else mountAll(figures);
}
