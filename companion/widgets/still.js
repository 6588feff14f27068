/**
 * The least of a page that a figure needs to draw itself once, where there is no browser: Node runs a figure's module, then this.
 *
 * The elements keep what is set on them and write it out; nothing is laid out and no event comes. A figure that asks for more says so
 * by an error, and what it asks for is added here. `render` is told that it is drawn once by `still: true`.
 */

const kebab = (key) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const escaped = (text) => text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);
const CONTROLS = new Set(["input", "button", "label", "output", "select", "style"]); // what moves nothing here

class StillElement {
  constructor(tag, drawn) {
    this.tag = tag;
    this.drawn = drawn;
    this.children = [];
    this.parent = null;
    this.attributes = new Map();
    this.styles = new Map();
    this.style = new Proxy(this, {
      get: (node, key) => (key === "setProperty" ? (name, value) => node.styles.set(name, value) : node.styles.get(kebab(key)) ?? ""),
      set: (node, key, value) => node.styles.set(kebab(key), value) !== undefined,
    });
    const names = () => new Set((this.attributes.get("class") ?? "").split(" ").filter(Boolean));
    const keep = (set) => this.attributes.set("class", [...set].join(" "));
    this.classList = {
      add: (...added) => keep(new Set([...names(), ...added])),
      remove: (...gone) => keep(new Set([...names()].filter((name) => !gone.includes(name)))),
    };
  }
  setAttribute(name, value) {
    if (name !== "style") this.attributes.set(name, value);
    else for (const rule of value.split(";").filter((part) => part.trim())) this.styles.set(...rule.split(/:(.*)/s, 2).map((part) => part.trim()));
  }
  getAttribute(name) { return this.attributes.get(name) ?? null; }
  removeAttribute(name) { this.attributes.delete(name); }
  append(...nodes) {
    for (const node of nodes) if (node instanceof StillElement) node.parent = this;
    this.children.push(...nodes);
  }
  replaceChildren(...nodes) {
    this.children = [];
    this.append(...nodes);
  }
  get firstChild() { return this.children[0] ?? null; }
  get textContent() { return this.children.map((child) => child.textContent ?? String(child)).join(""); }
  set textContent(text) { this.children = [String(text)]; }
  set innerHTML(markup) { this.children = [{ markup, namespaceURI: "", textContent: "" }]; }
  getRootNode() { return document; }
  querySelector() { return null; }
  addEventListener() {}
  find(wanted) {
    if (wanted(this)) return this;
    for (const child of this.children) {
      const found = child instanceof StillElement ? child.find(wanted) : null;
      if (found) return found;
    }
    return null;
  }
  write() {
    if (CONTROLS.has(this.tag)) return "";
    const style = [...this.styles].map(([name, value]) => `${name}: ${value}`).join("; ");
    const attributes = [...this.attributes, ...(style ? [["style", style]] : [])].map(([name, value]) => ` ${name}="${escaped(value)}"`);
    const inside = this.children.map((child) => child.write?.() ?? child.markup ?? escaped(String(child))).join("");
    return inside || !this.drawn ? `<${this.tag}${attributes.join("")}>${inside}</${this.tag}>` : `<${this.tag}${attributes.join("")}/>`;
  }
}

globalThis.Document = globalThis.DocumentFragment = class {};
globalThis.IntersectionObserver = class { observe() {} disconnect() {} };
globalThis.matchMedia = () => ({ matches: false });
globalThis.document = {
  head: new StillElement("head", false),
  createElement: (tag) => new StillElement(tag, false),
  createElementNS: (_, tag) => new StillElement(tag, true),
};

/** The figure in one state as a line of HTML: its picture with what stands in the same element, and the picture's description. */
function still(values) {
  const place = document.createElement("div");
  render({ el: place, still: true, model: { get: (key) => values[key], set() {}, save_changes() {}, on() {}, off() {} } });
  const picture = place.find((node) => node.tag === "svg" && node.getAttribute("role") === "img");
  const words = picture?.getAttribute("aria-label");
  if (!words) throw new Error("the figure has no svg with role=\"img\" and an aria-label");
  const root = place.firstChild;
  root.attributes.delete("role");
  root.attributes.delete("aria-label");
  root.classList.add("lf-still");
  root.replaceChildren(picture.parent);
  const style = kit.PICTURE.replace(/\s+/g, " ").trim();
  return `<style>${style}</style>${root.write()}<p class="luc-live-words">${escaped(words)}</p>`.replaceAll("\n", "&#10;");
}
