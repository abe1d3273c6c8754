// Cache of what has been read, by name: views request resources and are redrawn when they have loaded.

const KEPT = 384 << 20; // bytes of arrays; the least recently requested are evicted first
const known = new Map();
const failed = new Map();
let changed = () => {};

/** Set the listener to call when something has loaded or failed. */
export function whenChanged(listener) {
  changed = listener;
}

/** Return a resource, or undefined while it is being loaded; a resource that failed stays undefined. */
export function want(name, load) {
  const entry = known.get(name);
  if (entry) {
    known.delete(name);
    known.set(name, entry);
    return entry.value;
  }
  const made = { value: undefined, bytes: 0 };
  known.set(name, made);
  Promise.resolve()
    .then(load)
    .then((value) => {
      made.value = value;
      made.bytes = value?.bytes ?? 0;
      evict();
    })
    .catch((error) => {
      failed.set(name, error.message);
      if (!(error instanceof Error) || error.constructor === TypeError) console.error(error);
    })
    .finally(() => changed());
  return undefined;
}

/** Return whether a resource has failed. */
export function hasFailed(name) {
  return failed.has(name);
}

/** Return sentences about all failures and warnings. */
export function failures() {
  return [...new Set(failed.values())];
}

/** Add a sentence that is not about a failed resource. */
export function warn(name, sentence) {
  if (failed.has(name)) return;
  failed.set(name, sentence);
  changed();
}

function evict() {
  let sum = 0;
  for (const entry of known.values()) sum += entry.bytes;
  for (const [name, entry] of known) {
    if (sum <= KEPT) return;
    if (entry.bytes === 0) continue;
    sum -= entry.bytes;
    known.delete(name);
  }
}
