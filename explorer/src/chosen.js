// The training images that a list shows: the judged lists, or lists by score if a filter or an order is chosen.
import { isPacked } from "./files.js";
import { held, imageAt, placeOf } from "./images.js";
import { best, ranks, sizes, swings } from "./order.js";
import { PAGE } from "./state.js";
import { firsts, lists, members, scores, texts } from "./store.js";

const NONE = { of: null, file: "", caption: "", within: null };
const through = new Map(); // candidates by filter
const verdicts = new Map(); // judgements by halves, by method, target and step
const remembered = new Map(); // ordered lists by everything that they depend on

/** Return whether a filter is set. */
const filtered = ({ of, file, caption, within }) => Boolean(of !== null || file || caption || within);

/**
 * Return the ascending array positions of the images that lists may name: the first of each group of near-duplicates,
 * if it passes the filter; undefined while something is being read.
 */
export function candidates(state) {
  const first = firsts();
  const all = filtered(state) ? texts() : null;
  const groups = state.within ? members() : {};
  if (!first || all === undefined || !groups) return undefined;
  return memoised(through, keyOf(state), () => passing(state, first, all, groups));
}

const keyOf = ({ of, file, caption, within }) => JSON.stringify([of, file, caption, within]);

function memoised(map, key, make) {
  if (!map.has(key)) {
    if (map.size > 200) map.clear();
    map.set(key, make());
  }
  return map.get(key);
}

function passing({ of, file, caption, within }, first, all, groups) {
  const inside = within ? new Set(groups[within]) : null;
  const [inFile, inCaption] = [file.toLowerCase(), caption.toLowerCase()];
  const found = [];
  for (let place = 0; place < held(); place++) {
    const image = imageAt(place);
    if (first[place] !== image) continue;
    if (of !== null && String(all.label?.[place]) !== of) continue;
    if (inFile && !(all.file?.[place] ?? String(image)).toLowerCase().includes(inFile)) continue;
    if (inCaption && !(all.caption?.[place] ?? "").toLowerCase().includes(inCaption)) continue;
    if (inside && !inside.has(image)) continue;
    found.push(place);
  }
  return Int32Array.from(found);
}

/**
 * Return what is shown of a method at a step: {judged, by, of, sides: [{sign, rows}]}, or undefined while it is being
 * read. A row is {image, rank, score, error, low, high, found, alike}; found is null if not judged. A side without a
 * sign holds images of both signs.
 */
export function chosen(state, method) {
  const file = lists(method, state.target);
  if (!file) return undefined;
  const judged = memoised(verdicts, `${method}/${state.target}/${state.step}`, () => judgedAt(file, state.step));
  const plain = state.sort === "rank" && !filtered(state);
  const all = scores(method, state.target);
  const head = { judged: file.judged, by: file.by };
  if (plain && state.show <= PAGE) {
    const sides = ["+", "-"].map((sign) => {
      const shown = file.lists[state.step][sign].at.slice(0, state.show);
      return { sign, rows: shown.map((k, at) => row(file.images.train[k], at + 1, sign)) };
    });
    return { ...head, of: null, sides };
  }
  const places = candidates(state);
  if (!all || !places) return undefined;
  const offset = all.steps.indexOf(state.step) * all.n;
  const key = [method, state.target, state.step, state.sort, state.show, keyOf(state)].join("/");
  const sides = memoised(remembered, key, () => ordered(state, all, offset, places)).map(({ sign, at, rank }) => ({
    sign,
    rows: at.map((place, k) => row(imageAt(place), rank[k], sign ?? (all.score[offset + place] < 0 ? "-" : "+"))),
  }));
  return { ...head, of: places.length, sides };

  function row(image, rank, sign) {
    const place = placeOf(image);
    const at = all ? all.steps.indexOf(state.step) * all.n + place : -1;
    const said = judged[sign].get(image) ?? { place: null, low: null, high: null, found: null, alike: judged.alike.get(image) ?? null };
    // a packed page does not hold all images, so it knows only the ranks in lists
    const known = isPacked ? (state.sort === "rank" ? said.place : null) : rank;
    return { image, rank: known, sign, score: all?.score[at] ?? null, error: all?.error?.[at] ?? null, ...said };
  }
}

/** Return the array positions of each side, and their ranks among all images that lists may name. */
function ordered(state, all, offset, places) {
  const everyone = candidates(NONE);
  if (state.sort === "rank") {
    return [["+", 1], ["-", -1]].map(([sign, direction]) => {
      const at = best(all.score, offset, places, state.show, direction);
      return { sign, at, rank: ranks(all.score, offset, everyone, at, direction) };
    });
  }
  const measure = state.sort === "size" ? sizes(all.score.subarray(offset), 0, all.n) : swings(all.score, all.steps.length, all.n);
  const kept = state.sort === "size" ? places : places.filter((place) => measure[place] > 0);
  const at = best(measure, 0, kept, 2 * state.show, 1);
  return [{ sign: null, at, rank: ranks(measure, 0, everyone, at, 1) }];
}

/** Return the judgement of a step's listed images as a map for each sign, and their numbers of near-duplicates. */
function judgedAt(file, step) {
  const found = { alike: new Map(file.images.train.map((image, k) => [image, file.images.alike[k]])) };
  for (const sign of ["+", "-"]) {
    const side = file.lists[step][sign];
    found[sign] = new Map(side.at.map((at, k) => [
      file.images.train[at],
      {
        place: k + 1,
        low: side.low[k] ?? null,
        high: side.high[k] ?? null,
        found: side.found.length ? Boolean(side.found[k]) : null,
        alike: file.images.alike[at],
      },
    ]));
  }
  return found;
}
