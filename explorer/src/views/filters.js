// The choice of methods, images and their order.
import { el, field, put } from "../dom.js";
import { SORTS, change, now } from "../state.js";
import { known } from "../store.js";

const WAIT = 200; // milliseconds after the last keystroke

export function filters(place) {
  const { methods, images, groups } = known();
  const boxes = methods.map(({ name, control }) => {
    const box = el("input", { type: "checkbox", value: name, on: { change: () => choose(name) } });
    return { name, box, label: el("label", { class: "choice" }, box, control ? `${name} (control)` : name) };
  });
  const sort = select("Order", Object.entries(SORTS), (value) => change({ sort: value }));
  const of = images.labelled && images.classes ? select("Class", [["", "all"], ...images.classes.map((name, k) => [String(k), name])], (value) => change({ of: value || null })) : null;
  const label = images.labelled && !images.classes ? typed("Class", (value) => change({ of: value || null })) : null;
  const file = images.named ? typed("File name", (value) => change({ file: value })) : null;
  const caption = images.captioned ? typed("Caption", (value) => change({ caption: value })) : null;
  const named = Object.keys(groups);
  const within = named.length ? select("Group", [["", "all"], ...named.map((name) => [name, name])], (value) => change({ within: value || null })) : null;
  const clear = el("button", { type: "button", text: "Clear", on: { click: () => change({ of: null, file: "", caption: "", within: null, sort: "rank" }) } });
  const fields = [sort, of, label, file, caption, within].filter(Boolean);
  const look = named.length ? groupsToLookAt(named) : null;
  put(
    place,
    el("fieldset", { class: "methods" }, el("legend", { text: "Methods, several side by side" }), boxes.map(({ label }) => label)),
    el("div", { class: "fields" }, fields.map(({ element }) => element), clear, look),
  );
  return () => {
    const state = now();
    for (const { name, box } of boxes) box.checked = state.methods.includes(name);
    sort.set(state.sort);
    (of ?? label)?.set(state.of ?? "");
    file?.set(state.file);
    caption?.set(state.caption);
    within?.set(state.within ?? "");
    clear.hidden = state.of === null && !state.file && !state.caption && !state.within && state.sort === "rank";
  };

  function choose() {
    const chosen = boxes.filter(({ box }) => box.checked).map(({ name }) => name);
    if (chosen.length) change({ methods: chosen });
    else for (const { name, box } of boxes) box.checked = now().methods.includes(name); // at least one stays shown
  }
}

/** Return a menu that opens the sums of a group. */
function groupsToLookAt(names) {
  const open = (event) => {
    if (event.target.value) change({ group: event.target.value, image: null });
    event.target.value = "";
  };
  const options = [["", "choose …"], ...names.map((name) => [name, name])];
  return field("Sums of group", el("select", { on: { change: open } }, options.map(([value, text]) => el("option", { value, text }))));
}

function select(label, options, chosen) {
  const made = el("select", { on: { change: (event) => chosen(event.target.value) } }, options.map(([value, text]) => el("option", { value, text })));
  return { element: field(label, made), set: (value) => (made.value = value) };
}

function typed(label, chosen) {
  let timer = null;
  const later = (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => chosen(event.target.value), WAIT);
  };
  const made = el("input", { type: "search", autocomplete: "off", spellcheck: "false", on: { input: later } });
  const set = (value) => {
    if (made !== document.activeElement) made.value = value;
  };
  return { element: field(label, made), set };
}

