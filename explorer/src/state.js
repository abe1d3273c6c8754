// The page's state: one flat record, kept in the URL so that a link shows what its sender saw.

export const SORTS = { rank: "rank", size: "|score|", swing: "change of sign over the steps" };
export const PAGE = 10; // images of a list at first, and added each time

const listeners = [];
let index = null;
let state = null;

/** Start with the state in the URL, corrected to what exists. */
export function begin(found) {
  index = found;
  state = parsed(location.hash);
  addEventListener("hashchange", () => {
    if (written(state) !== location.hash.slice(1)) {
      state = parsed(location.hash);
      tell();
    }
  });
}

export const now = () => state;

/** Change part of the state. */
export function change(part) {
  const before = state;
  const full = part.full ?? (state.full && (part.image ?? state.image) === state.image); // of one image alone
  state = corrected({ ...state, ...part, full });
  if (written(before) === written(state)) return;
  try {
    history.replaceState(null, "", `#${written(state)}`);
  } catch {
    // pages embedded in reports have no URL of their own
  }
  tell();
}

export function whenShown(listener) {
  listeners.push(listener);
}

/** Return the method by which an image or a group is shown beside the lists: a chosen one, or the first of the lists. */
export function detailMethod() {
  return state.by ?? state.methods[0];
}

/** Return the chosen target's entry in the index. */
export function target() {
  return index.targets.find((row) => row.id === state.target);
}

function tell() {
  for (const listener of listeners) listener();
}

function parsed(hash) {
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  const number = (name) => (/^\d+$/.test(words.get(name) ?? "") ? Number(words.get(name)) : null);
  return corrected({
    target: words.get("target"),
    step: number("step"),
    methods: (words.get("methods") ?? "").split(",").filter(Boolean),
    image: number("image"),
    group: words.get("group"),
    of: words.get("class"),
    file: words.get("file") ?? "",
    caption: words.get("caption") ?? "",
    within: words.get("within"),
    sort: words.get("sort"),
    show: number("show") ?? PAGE,
    by: words.get("by"),
    full: words.get("full") === "yes",
    lds: words.get("lds") === "shown",
  });
}

/** Return the record with whatever does not exist replaced by its default. */
function corrected(record) {
  const row = index.targets.find(({ id }) => id === record.target) ?? index.targets[0];
  const middle = row.steps[Math.floor(row.steps.length / 2)];
  const nearest = (t) => row.steps.reduce((best, step) => (Math.abs(step - t) < Math.abs(best - t) ? step : best));
  const names = index.methods.map(({ name }) => name);
  const methods = names.filter((name) => record.methods.includes(name));
  const { ids, count } = index.images;
  const there = record.image !== null && (ids ? ids.includes(record.image) : record.image < count);
  const group = Object.hasOwn(index.groups, record.group) ? record.group : null;
  return {
    ...record,
    target: row.id,
    step: record.step === null ? middle : nearest(record.step),
    methods: methods.length ? methods : [names[0]],
    image: there ? record.image : null,
    group,
    within: Object.hasOwn(index.groups, record.within) ? record.within : null,
    sort: Object.hasOwn(SORTS, record.sort) ? record.sort : "rank",
    show: Math.min(Math.max(record.show, PAGE), 500),
    by: (there || group) && names.includes(record.by) ? record.by : null,
    full: there && record.full,
  };
}

function written({ target, step, methods, image, group, of, file, caption, within, sort, show, by, full, lds }) {
  const words = new URLSearchParams({ target, step, methods: methods.join(",") });
  const parts = { by, full: full ? "yes" : null, lds: lds ? "shown" : null };
  const more = { image, group, class: of, file, caption, within, sort, show, ...parts };
  const usual = { sort: "rank", show: PAGE };
  for (const [name, value] of Object.entries(more)) {
    if (value !== null && value !== "" && value !== usual[name]) words.set(name, value);
  }
  return words.toString();
}
