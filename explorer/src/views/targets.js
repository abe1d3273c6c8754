// The targets as pictures to choose from.
import { el, put } from "../dom.js";
import { change, now } from "../state.js";
import { known, targetSheet } from "../store.js";
import { canvas, cellsOf, drawCell, scaledDown } from "../thumbs.js";

const CHOSEN = 128;

export function targets(place) {
  const index = known();
  const buttons = index.targets.map((row) => {
    const picture = canvas(scaledDown(row.size, CHOSEN), null);
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
      const cells = cellsOf(sheet, buttons.length);
      buttons.forEach(({ picture }, k) => drawCell(picture, sheet, k, ...cells));
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
