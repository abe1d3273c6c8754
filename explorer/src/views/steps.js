// The slider over the steps, with pictures of the process at each step.
import { el, put, svg } from "../dom.js";
import { change, now, target } from "../state.js";
import { estimateSheet, known, pictures } from "../store.js";
import { bitmap, canvas, cellsOf, drawBitmap, drawCell, scaledDown } from "../thumbs.js";

const SMALL = 64; // pixels of the strip's pictures

export function steps(place) {
  let built = null;
  let parts = null;
  let drawn = "";
  return () => {
    const { target: id, step } = now();
    const row = target();
    if (built !== id) {
      parts = build(place, row);
      built = id;
      drawn = "";
    }
    const order = [...row.steps].reverse();
    const at = order.indexOf(step);
    const sheet = estimateSheet(id);
    const shown = shownAt(row, step);
    const key = [step, Boolean(sheet), ...shown.map(Boolean)].join();
    if (key === drawn) return;
    drawn = key;
    parts.slider.value = at;
    parts.slider.setAttribute("aria-valuetext", `t = ${step}, step ${at + 1} of ${order.length} from noise to image`);
    parts.words.textContent = `t = ${step}`;
    parts.more.textContent = `step ${at + 1} of ${order.length}, from noise to image`;
    parts.film.forEach(({ button }, k) => button.setAttribute("aria-pressed", k === at));
    parts.pictures.forEach((picture, k) => drawBitmap(picture, shown[k])); // none of another step stays
    if (sheet && !parts.drawn) {
      parts.drawn = true;
      const cells = cellsOf(sheet, order.length);
      parts.film.forEach(({ picture }, k) => drawCell(picture, sheet, k, ...cells));
    }
  };
}

/** Return the pictures of x_t, x̂0_t and the samples at a step, each undefined while it is being read. */
function shownAt({ id, samples: count }, step) {
  const { x_t, x0_hat, samples } = pictures(id, step, count);
  const made = (name, read, numbers) => read && bitmap(`${id}/${step}/${name}`, numbers);
  return [
    made("x_t", x_t, () => withinRange(x_t)),
    made("x0_hat", x0_hat, () => x0_hat),
    ...Array.from({ length: count }, (_, k) => made(k, samples, () => one(samples, k))),
  ];
}

/** Return numbers divided by half of the largest if that is above 1, since noise exceeds 1; bytes as they are. */
function withinRange({ data, shape }) {
  if (data instanceof Uint8Array) return { data, shape };
  const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 2);
  return { data: data.map((value) => (2 * value) / largest), shape };
}

function one({ data, shape: [, ...shape] }, k) {
  const size = shape.reduce((product, length) => product * length, 1);
  return { data: data.subarray(k * size, (k + 1) * size), shape };
}

function build(place, row) {
  const order = [...row.steps].reverse();
  const slider = el("input", {
    type: "range", id: "step", min: 0, max: order.length - 1, step: 1, "aria-label": "Step t, from noise to image",
    on: { input: (event) => change({ step: order[Number(event.target.value)] }) },
  });
  const words = el("output", { for: "step", class: "t" });
  const more = el("span", { class: "of" });
  const names = ["x_t", "x̂0_t", ...Array.from({ length: row.samples }, (_, k) => `sample ${k + 1}`)];
  const meant = [
    "what the model is called on at this step",
    "its one-step estimate of the final image",
    ...Array.from({ length: row.samples }, () => "a sample of p(·|x_t): the process restarted here"),
  ];
  const shown = names.map((name, k) => canvas(row.size, `${name}: ${meant[k]}`));
  const region = (picture) => el("span", { class: "picture" }, picture, outlines(row));
  const figures = [
    figure("x_t", "called on", [region(shown[0])]),
    figure("x̂0_t", "estimate", [region(shown[1])]),
    row.samples ? figure("samples", "restarted from x_t", shown.slice(2).map((picture) => el("span", { class: "picture" }, picture)), "samples") : null,
  ];
  const film = order.map((step) => {
    const picture = canvas(scaledDown(row.size, SMALL), null);
    const press = { on: { click: () => change({ step }) } };
    return { picture, button: el("button", { type: "button", "aria-label": `t = ${step}`, ...press }, picture, el("span", { "aria-hidden": "true", text: step })) };
  });
  const about = [row.prompt ? `“${row.prompt}”` : null, row.class ? `class ${row.class}` : null].filter(Boolean).join(", ");
  put(
    place,
    el("h2", {}, `Target ${row.id}`, about && el("span", { class: "about", text: about })),
    row.said ? el("p", { class: "said", text: row.said }) : null,
    others(row),
    el(
      "div", { class: "together" },
      el("div", { class: "now" }, figures),
      el(
        "div", { class: "slide" },
        el("label", { for: "step" }, words, " ", more), slider,
        el("div", { class: "film", role: "group", "aria-label": "Estimates x̂0_t of all steps" }, film.map(({ button }) => button)),
      ),
    ),
  );
  return { slider, words, more, pictures: shown, film };
}

function figure(name, words, pictures, kind = "") {
  const caption = el("figcaption", {}, el("b", { text: name }), ` ${words}`);
  return el("figure", { class: kind }, el("div", { class: "cells" }, pictures), caption);
}

/** Return the outline of the target's region for its pictures and, fainter, those of the same image's other regions. */
function outlines(row) {
  const regions = siblings(row).filter(({ region }) => region);
  if (!regions.length) return null;
  const [height, width] = row.size;
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "regions", role: "img", "aria-label": `The region ${row.id} of this image` });
  for (const of of regions) {
    const kind = of.id === row.id ? "region" : "region other";
    drawing.append(svg("path", { class: `${kind} under`, d: of.region }), svg("path", { class: kind, d: of.region }));
  }
  return drawing;
}

function siblings(row) {
  const whole = row.whole ?? row.id;
  return known().targets.filter((of) => (of.whole ?? of.id) === whole);
}

/** Return links to the other regions of the same image. */
function others(row) {
  const regions = siblings(row).filter(({ id }) => id !== row.id);
  if (!row.region && !regions.length) return null;
  const go = (of) => el("button", { type: "button", class: "link", text: of.id, on: { click: () => change({ target: of.id }) } });
  const more = regions.length ? [" Other regions of this image: ", regions.map((of) => [go(of), " "])] : [];
  return el("p", { class: "said" }, row.region ? "Scores are about what is inside the outline." : "Scores are about the whole image.", more);
}
