// The header: the experiment, and how far its scores can be trusted at each step.
import { el, put, svg } from "../dom.js";
import { fixed } from "../numbers.js";
import { change, now } from "../state.js";
import { known } from "../store.js";

const CEILING = "ceiling";
const RETRAIN = "retrain";
const NAMES = { [CEILING]: "the best possible", [RETRAIN]: "retraining once" };

export function head(place) {
  const index = known();
  const words = el("p", { class: "trust", "aria-live": "polite" });
  const chart = el("div", { class: "chart" });
  const more = el("details", { on: { toggle: () => change({ lds: more.open }) } }, el("summary", { text: "LDS by step, with ceiling and controls" }), chart);
  const title = el("h1", {}, `Waypoint: ${index.experiment}`, el("span", { class: "made", text: index.made }));
  put(place, el("div", { class: "title" }, title), words, index.trust.length ? more : null);
  let drawn = null;
  let charted = null;

  function draw() {
    const state = now();
    const key = [state.step, state.methods, state.target].join();
    if (key !== drawn) put(words, trusted(state));
    drawn = key;
    more.open = state.lds;
    if (more.open && key !== charted) {
      put(chart, plotted(state), table(state));
      charted = key;
    }
  }

  return draw;
}

/** Return the rows of a method's largest ensemble. */
function rowsOf(method) {
  const rows = known().trust.filter((row) => row.method === method);
  const most = Math.max(...rows.map((row) => Number(row.checkpoints || 0)));
  return rows.filter((row) => Number(row.checkpoints || 0) === most);
}

function at(method, step) {
  return rowsOf(method).find((row) => row.step === step && row.mean !== null);
}

/** Return sentences on how well the shown methods' scores predict retraining at this step. */
function trusted({ methods, step }) {
  const index = known();
  if (!index.trust.length) {
    const why = "How well these scores predict what retraining does was not measured in this experiment (evaluation.lds).";
    return [why, " One image among many does little: read them with care."];
  }
  const said = methods.map((method) => {
    const row = at(method, step);
    return row ? `${method} ${interval(row)}${share(row)}${verdict(row)}` : `${method}: not measured at this step`;
  });
  const others = index.methods.filter(({ name, control }) => control && !methods.includes(name) && at(name, step));
  const controls = others.map(({ name }) => `${name} ${fixed(at(name, step).mean)}`);
  const best = at(CEILING, step);
  return [
    el("strong", { text: "How far to trust these scores: " }),
    `their LDS, the correlation with what retraining does, at t = ${step} is ${said.join("; ")}.`,
    best ? ` The best possible is ${fixed(best.mean)}.` : "",
    controls.length ? ` Controls: ${controls.join(", ")}.` : "",
  ];
}

function interval({ mean, low, high }) {
  return low === null || high === null ? fixed(mean) : `${fixed(mean)} (${fixed(low)} to ${fixed(high)})`;
}

function verdict({ low, high }) {
  return low === null || low > 0 ? "" : high < 0 ? ", below zero" : ", not shown to be above zero";
}

function share({ of_ceiling: of, low }) {
  return of === null || low === null || low <= 0 ? "" : `, ${Math.round(100 * of)} % of the best possible`;
}

function shownMethods({ methods }) {
  const controls = known().methods.filter(({ control }) => control).map(({ name }) => name);
  const all = [...methods, ...controls, CEILING, RETRAIN];
  return [...new Set(all)].filter((name) => rowsOf(name).length);
}

/** Return a chart of LDS against t, from noise to image. */
function plotted(state) {
  const [width, height, left, bottom] = [640, 220, 44, 34];
  const steps = [...new Set(known().trust.map(({ step }) => step))].sort((a, b) => b - a);
  const methods = shownMethods(state);
  const values = methods.flatMap((name) => rowsOf(name).flatMap(({ mean, low, high }) => [mean, low, high])).filter((v) => v !== null);
  const [least, most] = [Math.min(0, ...values), Math.max(0.1, ...values)];
  const x = (step) => left + ((width - left - 130) * steps.indexOf(step)) / Math.max(1, steps.length - 1);
  const y = (value) => 8 + ((height - bottom - 8) * (most - value)) / (most - least);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "LDS by step; the table below says the same" });
  drawing.append(svg("line", { class: "axis", x1: left, x2: width - 130, y1: y(0), y2: y(0) }));
  for (const value of [least, 0, most].filter((v, k, all) => all.findIndex((w) => Math.abs(w - v) < (most - least) / 12) === k)) {
    drawing.append(svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end", text: fixed(value) }));
  }
  for (const step of steps) {
    drawing.append(svg("text", { x: x(step), y: height - bottom + 18, "text-anchor": "middle", text: step }));
  }
  drawing.append(svg("text", { x: (left + width - 130) / 2, y: height - 2, "text-anchor": "middle", text: "step t, from noise to image" }));
  drawing.append(svg("line", { class: "here", x1: x(state.step), x2: x(state.step), y1: 4, y2: height - bottom + 4 }));
  const ends = [];
  methods.forEach((name, k) => {
    const rows = rowsOf(name).filter(({ mean }) => mean !== null).sort((a, b) => b.step - a.step);
    const kind = state.methods.includes(name) ? "shown" : "other";
    const line = rows.map(({ step, mean }, j) => `${j ? "L" : "M"}${x(step)} ${y(mean)}`).join("");
    if (kind === "shown") {
      for (const { step, low, high } of rows.filter((row) => row.low !== null)) {
        drawing.append(svg("line", { class: `whisker line-${k % 6}`, x1: x(step), x2: x(step), y1: y(low), y2: y(high) }));
      }
    }
    drawing.append(svg("path", { class: `${kind} line-${k % 6}`, d: line }));
    ends.push({ name, k, kind, y: y(rows.at(-1).mean) });
  });
  ends.sort((a, b) => a.y - b.y);
  ends.forEach((end, j) => (end.y = Math.max(end.y, j ? ends[j - 1].y + 14 : 12)));
  for (const { name, k, y: at } of ends) {
    drawing.append(svg("text", { class: `label-${k % 6}`, x: width - 122, y: at + 4, text: NAMES[name] ?? name }));
  }
  return drawing;
}

/** Return the same as a table. */
function table(state) {
  const steps = [...new Set(known().trust.map(({ step }) => step))].sort((a, b) => b - a);
  const methods = [...new Set([...shownMethods(state), ...known().trust.map(({ method }) => method)])];
  const heads = steps.map((step) => el("th", { scope: "col", class: step === state.step ? "here" : null, text: `t = ${step}` }));
  const rows = methods.map((name) => {
    const cells = steps.map((step) => {
      const row = at(name, step);
      return el("td", { class: step === state.step ? "here" : null, text: row ? interval(row) : "–" });
    });
    return el("tr", {}, el("th", { scope: "row", text: NAMES[name] ?? name }), cells);
  });
  const words = el("p", { class: "said", text: "LDS with its 95 % interval: 1 predicts retraining perfectly, 0 not at all" });
  const made = el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col", text: "method" }), heads)), el("tbody", {}, rows));
  const scrolled = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "LDS by method and step" }, made);
  return el("div", {}, words, scrolled);
}
