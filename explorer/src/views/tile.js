// One training image of a list: its picture with its score and judgement below.
import { el } from "../dom.js";
import { named } from "../images.js";
import { counted, signed, plain } from "../numbers.js";
import { change, now } from "../state.js";
import { known } from "../store.js";
import { canvas, drawImage } from "../thumbs.js";
import { draw } from "./sight.js";

const LONG = 24; // characters

/** Return a tile filled by `update(row)`, so that moving the slider creates no elements. */
export function tile() {
  const picture = canvas(known().images.cell, null);
  const names = ["score", "error", "place", "mark", "file", "of", "caption"];
  const [score, error, place, mark, file, of, caption] = names.map((name) => el("span", { class: name }));
  let row = null;
  const button = el(
    "button",
    { type: "button", class: "tile", on: { click: () => change({ image: row.image, group: null }) } },
    picture, el("span", {}, score, " ", error), mark, place, file, of, caption,
  );
  const item = el("li", {}, button);

  function update(shown) {
    row = shown;
    draw(button, redraw);
  }

  function redraw() {
    drawImage(picture, row.image);
    const known = row.found === null ? "unjudged" : row.found ? "found" : "unfound";
    button.className = `tile ${row.sign === "+" ? "towards" : "away"} ${known}`;
    button.setAttribute("aria-pressed", now().image === row.image);
    text(score, row.score === null ? "…" : signed(row.score));
    text(error, row.error === null ? "" : `± ${plain(row.error, 1)}`);
    text(mark, { found: "✓ found", unfound: "not found", unjudged: "not judged" }[known]);
    text(place, placed(row));
    const called = named(row.image);
    text(file, (called ? shortened(called) : "…") + (row.alike > 1 ? ` ×${row.alike}` : ""));
    text(of, called?.of ? `class ${called.of}` : "");
    text(caption, called?.caption ?? "");
    file.title = called?.file ?? "";
    caption.title = called?.caption ?? "";
  }

  return { item, update, held: () => row };
}

/** Return the rank, and the range of ranks in the halves of the models or draws. */
function placed({ rank, low, high }) {
  if (rank === null) return "no rank in this file";
  const at = counted(rank);
  return low === null || (low === rank && high === rank) ? `rank ${at}` : `rank ${at} (${counted(low)} to ${counted(high)})`;
}

/** Return a name without a leading folder named like the class; of a long name, only the part after its folders. */
function shortened({ file, of }) {
  const name = of && file.startsWith(`${of}/`) ? file.slice(of.length + 1) : file;
  return name.length > LONG && name.includes("/") ? `…/${name.slice(name.lastIndexOf("/") + 1)}` : name;
}

function text(element, words) {
  if (element.textContent !== words) element.textContent = words;
  element.hidden = words === "";
}
