// The targets as pictures to choose from.
import { el, put } from "../dom.js";
import { change, now } from "../state.js";
import { known, targetSheet } from "../store.js";
import { canvas, drawCell } from "../thumbs.js";

const CHOSEN = 128;
const ACROSS = 8;

export function targets(place) {
  const index = known();
  const buttons = index.targets.map((row) => {
    const picture = canvas(cellOf(row), null);
    const said = row.prompt ?? row.class ?? null;
    const words = [el("span", { class: "name", text: row.id }), said && el("span", { class: "said", text: said, title: said })];
    const press = { on: { click: () => change({ target: row.id }) } };
    return { row, picture, button: el("button", { type: "button", ...press }, picture, el("span", { class: "words" }, words)) };
  });
  put(place, el("ul", { class: "targets" }, buttons.map(({ button }) => el("li", {}, button))));
  let drawn = false;
  let chosen = null;
  return () => {
    const sheet = targetSheet();
    if (sheet && !drawn) {
      buttons.forEach(({ picture, row }, k) => drawCell(picture, sheet, k, ACROSS, cellOf(row)));
      drawn = true;
    }
    if (now().target === chosen) return;
    chosen = now().target;
    for (const { row, button } of buttons) button.setAttribute("aria-pressed", row.id === chosen);
    const list = place.querySelector("ul");
    const { button } = buttons.find(({ row }) => row.id === chosen);
    if (button.offsetLeft < list.scrollLeft || button.offsetLeft + button.offsetWidth > list.scrollLeft + list.clientWidth) {
      list.scrollLeft = button.offsetLeft - list.offsetLeft;
    }
  };
}

/** Return the size of a target's picture, the same for all targets of an experiment. */
function cellOf({ size: [height, width] }) {
  const scale = Math.min(1, CHOSEN / Math.max(height, width));
  return [Math.max(1, Math.round(height * scale)), Math.max(1, Math.round(width * scale))];
}
