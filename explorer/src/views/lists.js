// The training images that push towards the target and away from it, with a column for each method.
import { chosen } from "../chosen.js";
import { el, put } from "../dom.js";
import { isPacked } from "../files.js";
import { learn } from "../images.js";
import { counted } from "../numbers.js";
import { hasFailed } from "../resources.js";
import { PAGE, change, now } from "../state.js";
import { known, listSheet, lists as listsOf, scoresName } from "../store.js";
import { learnSheet } from "../thumbs.js";
import { tile } from "./tile.js";

const TITLES = { "+": "push towards the image (+)", "-": "push away from it (−)", null: "in both directions" };

export function lists(place) {
  const columns = new Map();
  const more = el("button", { type: "button", class: "more", text: "Show more", on: { click: () => change({ show: now().show + PAGE }) } });
  const within = el("div", { class: "columns" });
  put(place, within, more);
  let shown = "";
  return () => {
    const { methods, target } = now();
    const key = methods.join();
    if (key !== shown) {
      shown = key;
      for (const name of columns.keys()) if (!methods.includes(name)) columns.delete(name);
      for (const name of methods) if (!columns.has(name)) columns.set(name, column(name));
      put(within, methods.map((name) => columns.get(name).element));
      within.className = methods.length > 1 ? "columns several" : "columns";
    }
    let longest = 0;
    for (const name of methods) {
      prepare(name, target);
      longest = Math.max(longest, columns.get(name).update(now()));
    }
    more.hidden = longest < now().show;
  };
}

const prepared = new Map();

/** Remember the names and pictures of a method's lists before they are drawn. */
function prepare(method, target) {
  const [file, sheet] = [listsOf(method, target), listSheet(method, target)];
  const key = `${method}/${target}`;
  const had = prepared.get(key) ?? {};
  if (file && !had.file) learn(file);
  if (file && sheet && !had.sheet) learnSheet(file.images, sheet);
  prepared.set(key, { file: Boolean(file), sheet: Boolean(sheet && file) });
}

function column(method) {
  const { control } = known().methods.find(({ name }) => name === method);
  const said = el("p", { class: "said" });
  const sides = el("div", { class: "sides" });
  const heading = el("h2", {}, method, control && el("span", { class: "about", text: "control" }));
  const element = el("section", { class: "method", "aria-label": `Training images by ${method}` }, heading, said, sides);
  let built = null;
  let lists = [];

  function update(state) {
    if (hasFailed(scoresName(method, state.target)) || hasFailed(`lists/${method}/${state.target}`)) {
      return blank("These scores cannot be shown; the message above says why.");
    }
    const found = chosen(state, method);
    if (!found) {
      const lost = ["firsts", "texts", "members"].some(hasFailed);
      return blank(lost ? "This order cannot be shown; the message above says why." : "Reading …", !lost);
    }
    const kind = found.sides.map(({ sign }) => sign).join();
    if (built !== kind) {
      lists = found.sides.map(({ sign }) => side(sign));
      put(sides, lists.map(({ element }) => element));
      built = kind;
    }
    put(said, judged(found, state));
    lists.forEach((list, k) => list.update(found.sides[k].rows, state));
    return Math.max(...found.sides.map(({ rows, sign }) => rows.length / (sign === null ? 2 : 1)));
  }

  function blank(words, waiting = false) {
    if (!waiting) {
      put(sides);
      built = null;
    }
    said.textContent = words;
    return 0;
  }

  return { element, update };
}

function judged(found, state) {
  const words = found.judged
    ? `✓ found: confirmed by ${found.by} that did not choose it; grey: not told from noise`
    : `Not judged by its noise: ${found.by}`;
  const number = found.of === null ? "" : `; ${counted(found.of)} images${isPacked ? " of this file" : ""} fit`;
  const swing = state.sort === "swing" ? "; largest change of sign over the steps first, score and sign are those of this step" : "";
  return `${words}${number}${swing}`;
}

function side(sign) {
  const none = el("p", { class: "none", text: "No training image fits the filter." });
  const list = el("ol", {});
  const kind = sign === "+" ? "towards" : sign === "-" ? "away" : "both";
  const element = el("div", { class: `side ${kind}` }, el("h3", { text: TITLES[sign] }), list, none);
  const tiles = [];

  function update(rows, state) {
    none.hidden = rows.length > 0;
    while (tiles.length < rows.length) tiles.push(tile());
    rows.forEach((row, k) => tiles[k].update(row, state));
    if (list.children.length !== rows.length) put(list, tiles.slice(0, rows.length).map(({ item }) => item));
  }

  return { element, update };
}
