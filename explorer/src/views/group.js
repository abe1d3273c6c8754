// One group of training images: the sum of its scores compared with random images and with neighbourhoods.
import { el, field, put, svg } from "../dom.js";
import { inWords } from "../images.js";
import { counted, plain, signed } from "../numbers.js";
import { hasFailed } from "../resources.js";
import { change, detailMethod, now } from "../state.js";
import { known, members, sums } from "../store.js";
import { canvas, drawImage } from "../thumbs.js";

const NULLS = { random: "as many random images", neighbourhoods: "an image and its nearest, as many" };
const SHOWN = 24;

export function group(place, name) {
  const size = known().groups[name];
  const method = el("select", { on: { change: () => change({ by: method.value }) } }, known().methods.map((of) => el("option", { value: of.name, text: of.name })));
  const only = el("button", { type: "button", text: "Only this group in the lists", on: { click: () => change({ within: name }) } });
  const thumbs = el("ul", { class: "thumbs" });
  const table = el("div", {});
  put(
    place,
    el("h2", { text: `Group ${name}` }),
    el("p", { class: "words" }, el("span", { text: `${counted(size)} training image${size === 1 ? "" : "s"}` })),
    el("p", {}, only),
    thumbs,
    el("h3", { text: "Sums of its scores, beside two nulls" }),
    field("By method", method),
    table,
  );
  let pictures = null;
  let drawn = "";

  function update() {
    const all = members();
    if (all && !pictures) {
      pictures = all[name].slice(0, SHOWN).map((id) => ({ id, picture: canvas(known().images.cell, null) }));
      const go = (id) => ({ on: { click: () => change({ image: id, group: null }) } });
      put(thumbs, pictures.map(({ id, picture }) => el("li", {}, el("button", { type: "button", class: "small", "aria-label": inWords(id), ...go(id) }, picture))));
    }
    pictures?.forEach(({ id, picture }) => drawImage(picture, id));
    const { target, step } = now();
    method.value = detailMethod();
    const resource = `groups/${method.value}/${target}`;
    const found = sums(method.value, target);
    const key = [resource, step, Boolean(found), hasFailed(resource)].join();
    if (key === drawn) return;
    drawn = key;
    if (hasFailed(resource)) return void put(table, el("p", { text: "These sums cannot be shown; the message above says why." }));
    if (!found) return void put(table, el("p", { text: "Reading …" }));
    const rows = found.filter((row) => row.group === name);
    put(table, plotted(rows, step), listed(rows, step, target, method.value));
  }

  return update;
}

/** Return a chart of the sum's z against both nulls, by step. */
function plotted(rows, step) {
  const [width, height, left] = [420, 170, 40];
  const steps = [...new Set(rows.map((row) => row.step))].sort((a, b) => b - a);
  const values = rows.map(({ z }) => z).filter((z) => z !== null);
  const most = Math.max(3, ...values.map(Math.abs));
  const x = (t) => left + 12 + ((width - left - 30) * steps.indexOf(t)) / Math.max(1, steps.length - 1);
  const y = (z) => 10 + ((height - 50) * (most - z)) / (2 * most);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "z of the group's sum against both nulls by step; the table below says the same" });
  drawing.append(svg("rect", { class: "band", x: left, width: width - left, y: y(2), height: y(-2) - y(2) }));
  drawing.append(svg("line", { class: "axis", x1: left, x2: width, y1: y(0), y2: y(0) }));
  for (const z of [-2, 0, 2]) drawing.append(svg("text", { x: left - 6, y: y(z) + 4, "text-anchor": "end", text: z < 0 ? `−${-z}` : z }));
  for (const t of steps) drawing.append(svg("text", { x: x(t), y: height - 22, "text-anchor": "middle", text: t }));
  drawing.append(svg("text", { x: width / 2, y: height - 4, "text-anchor": "middle", text: "z of the sum by step t: ○ random, ◇ neighbourhoods" }));
  drawing.append(svg("line", { class: "here", x1: x(step), x2: x(step), y1: 6, y2: height - 36 }));
  for (const row of rows.filter(({ z }) => z !== null)) {
    const [cx, cy] = [x(row.step), y(row.z)];
    if (row.null === "random") drawing.append(svg("circle", { class: "line-0 dot", cx: cx - 4, cy, r: 4 }));
    else drawing.append(svg("path", { class: "line-1 dot", d: `M${cx + 4} ${cy - 5}l5 5l-5 5l-5 -5z` }));
  }
  return el("div", { class: "chart" }, drawing);
}

function listed(rows, step, target, method) {
  const heads = ["step", "sum", "null", "mean ± sd", "z", "p", "q", "found"];
  const lines = rows.sort((a, b) => b.step - a.step).map((row) => {
    const found = row.found === null ? "not judged" : row.found ? "✓ found" : "not found";
    const cells = [
      signed(row.score) + (row.se === null ? "" : ` ± ${plain(row.se, 1)}`),
      el("span", { title: NULLS[row.null], text: row.null }),
      `${signed(row.random_mean)} ± ${plain(row.random_sd)}`,
      row.z === null ? "–" : signed(row.z), plain(row.p), plain(row.q), found,
    ];
    return el("tr", { class: row.step === step ? "here" : null }, el("th", { scope: "row", text: `t = ${row.step}` }), cells.map((cell) => el("td", {}, cell)));
  });
  const words = `Target ${target} by ${method}. Random: ${NULLS.random}; neighbourhoods: ${NULLS.neighbourhoods}. Found: q ≤ 0.05 under the stricter null, and the error excludes its mean.`;
  const table = el("table", {}, el("thead", {}, el("tr", {}, heads.map((text) => el("th", { scope: "col", text })))), el("tbody", {}, lines));
  const scrolled = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Sums of the group by step" }, table);
  return el("div", {}, el("p", { class: "said", text: words }), scrolled);
}
