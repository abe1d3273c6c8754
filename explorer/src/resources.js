// What has been read, by name: views ask for it and are drawn again when it has come.

const KEPT = 384 << 20; // bytes of arrays; those that were not asked for longest go first
const known = new Map();
const failed = new Map();
let changed = () => {};

/** Whom to tell that something has come, or failed. */
export function whenChanged(listener) {
  changed = listener;
}

/** A resource if it is there; else undefined, and it is loaded. A resource that failed stays undefined. */
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

/** Whether a resource has failed. */
export function hasFailed(name) {
  return failed.has(name);
}

/** Sentences about what failed. */
export function failures() {
  return [...new Set(failed.values())];
}

/** Say something that is no failure of a resource. */
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
