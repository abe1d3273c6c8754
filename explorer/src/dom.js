// Elements, made without HTML: texts are only ever text, whatever characters they hold.

/** An element. props: attributes; `class`, `text`, `on` ({event: handler}) and `data` mean what they say. */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  return fill(set(made, props), children);
}

/** An element of SVG. */
export function svg(tag, props = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  return fill(set(made, props), children);
}

let fields = 0;

/** A control with a label above it. */
export function field(label, control) {
  control.id = `field-${++fields}`;
  return el("div", { class: "field" }, el("label", { for: control.id, text: label }), control);
}

/** Replace what is in an element. */
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
