// One training image: its name, its scores, its near-duplicates and its groups.
import { el, field, put } from "../dom.js";
import { held, imageAt, inWords, named, placeOf } from "../images.js";
import { counted, plain, signed } from "../numbers.js";
import { ranks } from "../order.js";
import { hasFailed } from "../resources.js";
import { change, detailMethod, now } from "../state.js";
import { firsts, known, members, scores, scoresName, wholeImage, wholeName } from "../store.js";
import { canvas, drawImage, drawNumbers } from "../thumbs.js";
import { isPacked } from "../files.js";

const ALIKE = 24; // near-duplicates shown as pictures

export function image(place, id) {
  const picture = canvas(known().images.cell, `Training image ${id}`, { class: "large" });
  const title = el("h2", {});
  const large = fullSize(id, picture);
  const words = el("p", { class: "words" });
  const alike = el("div", { class: "alike" });
  const groups = el("div", { class: "groups" });
  const method = el("select", { on: { change: () => change({ by: method.value }) } }, known().methods.map(({ name }) => el("option", { value: name, text: name })));
  const table = shaped(id);
  put(
    place, title, picture, large?.element, words, alike, groups,
    el("h3", { text: "What did it shape?" }),
    field("By method", method),
    table.element,
  );
  let drawn = false;
  let groupsDrawn = false;
  let alikeDrawn = 0;

  function update() {
    if (!drawn) drawn = drawImage(picture, id);
    large?.update();
    const called = named(id);
    title.textContent = `Training image ${counted(id)}`;
    if (called) {
      const lines = [known().images.named && called.file, called.of && `class ${called.of}`, called.caption && `“${called.caption}”`];
      put(words, lines.filter(Boolean).map((line) => el("span", { text: line })));
    }
    const [first, all] = [firsts(), members()];
    if (first && alikeDrawn !== null) alikeDrawn = same(alike, id, first, alikeDrawn);
    if (all && !groupsDrawn) groupsDrawn = within(groups, id, all);
    method.value = detailMethod();
    table.update(method.value, first);
  }

  return update;
}

/** Return a button that shows an image in full size, or null if its picture is as large or the page is packed. */
function fullSize(id, picture) {
  const { cell, size } = known().images;
  if (isPacked || cell[0] === size[0]) return null;
  const ask = { on: { click: () => change({ full: true }) } };
  const element = el("button", { type: "button", text: `Full size, ${size[1]} × ${size[0]}`, ...ask });
  const full = canvas(size, `Training image ${id} in full size`, { class: "full" });

  function update() {
    if (!now().full) return;
    element.disabled = true;
    const numbers = wholeImage(id);
    element.textContent = hasFailed(wholeName(id)) ? "It cannot be read; the message above says why" : "Reading …";
    if (!numbers || !element.isConnected) return;
    drawNumbers(full, numbers);
    element.replaceWith(full);
    picture.hidden = true;
  }

  return { element, update };
}

/** Draw the near-duplicates of an image; null when all are drawn. */
function same(place, id, first, before) {
  const at = placeOf(id);
  const others = [];
  for (let k = 0; k < held(); k++) if (k !== at && first[k] === first[at]) others.push(imageAt(k));
  if (!others.length) {
    put(place, el("p", { class: "said", text: isPacked ? "No other training image of this file shows the same." : "No other training image shows the same." }));
    return null;
  }
  if (!before) {
    const shown = others.slice(0, ALIKE).map((other) => {
      const picture = canvas(known().images.cell, null);
      const go = { on: { click: () => change({ image: other }) } };
      return el("li", {}, el("button", { type: "button", class: "small", "aria-label": `Near-duplicate: ${inWords(other)}`, data: { other }, ...go }, picture));
    });
    const more = others.length > ALIKE ? `, of which ${ALIKE} are shown` : "";
    put(place, el("h3", { text: `${counted(others.length)} show${others.length === 1 ? "s" : ""} the same${more}` }), el("ul", { class: "thumbs" }, shown));
  }
  const buttons = [...place.querySelectorAll("button")];
  const done = buttons.map((button) => drawImage(button.querySelector("canvas"), Number(button.dataset.other)));
  return done.every(Boolean) ? null : 1;
}

function within(place, id, all) {
  const names = Object.keys(all).filter((name) => all[name].includes(id));
  if (names.length) {
    const go = (name) => el("button", { type: "button", text: name, on: { click: () => change({ group: name, image: null }) } });
    put(place, el("h3", { text: names.length > 1 ? "Its groups" : "Its group" }), names.map(go));
  }
  return true;
}

/** Return a table of an image's scores for all targets and steps by one method, read target by target. */
function shaped(id) {
  const index = known();
  const steps = [...new Set(index.targets.flatMap((row) => row.steps))].sort((a, b) => b - a);
  const caption = el("p", { class: "said" });
  const heads = steps.map((step) => el("th", { scope: "col", text: `t = ${step}` }));
  const rows = index.targets.map(({ id: target, steps: own }) => {
    const cells = steps.map(() => el("td", {}));
    const empty = () => steps.forEach((step, k) => put(cells[k], own.includes(step) ? "…" : ""));
    const go = el("button", { type: "button", class: "link", text: target, on: { click: () => change({ target }) } });
    return { target, cells, empty, line: el("tr", {}, el("th", { scope: "row" }, go), cells), filled: null };
  });
  const table = el("table", { class: "shaped" }, el("thead", {}, el("tr", {}, el("th", { scope: "col", text: "target" }), heads)), el("tbody", {}, rows.map(({ line }) => line)));
  const scrolled = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores over targets and steps" }, table);
  const element = el("div", {}, caption, scrolled);
  let by = null;

  function update(method, first) {
    if (method !== by) rows.forEach(({ empty }) => empty()); // no scores of another method stay
    by = method;
    const whole = index.images.ids === null;
    caption.textContent = `Scores by ${method}` + (whole ? `, and rank among ${counted(index.images.count)} images: 1 pushes most towards the target` : "");
    let waiting = false; // targets are read one by one, so that what is shown is not delayed
    for (const row of rows) {
      if (row.filled === method) continue;
      const name = scoresName(method, row.target);
      if (waiting && !hasFailed(name)) continue;
      if (hasFailed(name)) {
        row.cells.forEach((cell) => (cell.textContent = "cannot be read"));
        row.filled = method;
        continue;
      }
      const all = scores(method, row.target);
      if (!all || !first) {
        waiting = true;
        continue;
      }
      fill(row, all, steps, id, whole);
      row.filled = method;
    }
    for (const { line, target } of rows) line.classList.toggle("here", target === now().target);
  }

  return { element, update };
}

function fill({ cells }, all, steps, id, whole) {
  const at = placeOf(id);
  const everyone = { *[Symbol.iterator]() { for (let k = 0; k < all.n; k++) yield k; } };
  steps.forEach((step, k) => {
    const s = all.steps.indexOf(step);
    if (s < 0) return;
    const value = all.score[s * all.n + at];
    const error = all.error ? ` ± ${plain(all.error[s * all.n + at], 1)}` : "";
    const [rank] = whole ? ranks(all.score, s * all.n, everyone, [at], 1) : [null];
    put(cells[k], el("span", { text: signed(value) + error }), rank && el("small", { text: `rank ${counted(rank)}` }));
    const share = rank === null ? 0 : (rank - 0.5) / all.n;
    cells[k].className = rank === null ? (value > 0 ? "plus" : "minus") : share < 0.01 ? "plus strong" : share < 0.1 ? "plus" : share > 0.99 ? "minus strong" : share > 0.9 ? "minus" : "";
  });
}
