// Elements created without HTML, so that texts stay text whatever characters they contain.

/** Return an element. props: attributes, plus `text`, `on` ({event: handler}) and `data` (its dataset). */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  return fill(set(made, props), children);
}

/** Return an SVG element. */
export function svg(tag, props = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  return fill(set(made, props), children);
}

let fields = 0;

/** Return a control with a label above it. */
export function field(label, control) {
  control.id = `field-${++fields}`;
  return el("div", { class: "field" }, el("label", { for: control.id, text: label }), control);
}

/** Replace the children of an element. */
export function put(parent, ...children) {
  parent.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return parent;
}

function set(made, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name === "class") made.setAttribute("class", value);
    else if (name === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (name === "data") Object.assign(made.dataset, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  return made;
}

function fill(made, children) {
  for (const child of children.flat(3)) {
    if (child !== null && child !== undefined && child !== false) made.append(child);
  }
  return made;
}
