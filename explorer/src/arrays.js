// The store's Zarr arrays, read by zarrita.js with their checksums verified.
import { get, open, registry, root, slice } from "zarrita";
import { VerifiedCrc32c } from "./crc32c.js";
import { Missing, bytes } from "./files.js";

registry.set("crc32c", () => VerifiedCrc32c);

/** Thrown for a damaged array; its message is a sentence for the user. */
export class Damaged extends Error {}

/** Open a Zarr store of format 3 by its consolidated metadata. */
export async function openStore(path) {
  let group;
  try {
    group = JSON.parse(new TextDecoder().decode(await bytes(`${path}/zarr.json`)));
  } catch (error) {
    if (error instanceof Missing) throw error;
    throw new Damaged(`${path}/zarr.json is damaged. ${ADVICE}`);
  }
  const arrays = group.consolidated_metadata?.metadata ?? {};
  return new Store(path, group.attributes ?? {}, arrays);
}

const ADVICE = "Nothing of it is shown. Delete that store, run the experiment again, then make explore.";

class Store {
  constructor(path, attributes, arrays) {
    Object.assign(this, { path, attributes, arrays });
  }

  has(name) {
    return name in this.arrays;
  }

  /** Return how many rows of an array its chunks hold. */
  chunkRows(name) {
    return this.arrays[name].chunk_grid.configuration.chunk_shape[0];
  }

  /**
   * Return an array's values as {data, shape}; 64-bit integers become 32-bit ones.
   * part: for each of the first axes an index, or [start, stop]; a stop may lie beyond the end.
   */
  async read(name, ...part) {
    const place = `${this.path}, array ${name}`;
    try {
      const array = await open.v3(root(this).resolve(name), { kind: "array" });
      const chosen = array.shape.map((length, axis) => selected(part[axis], length));
      const { data, shape } = await get(array, chosen);
      return { data: narrowed(data), shape };
    } catch (error) {
      if (error instanceof Missing) throw new Damaged(`${place}: a part is missing: ${error.message} ${ADVICE}`);
      const reason = error.cause?.message ?? error.message;
      throw new Damaged(`${place}: a chunk is damaged (${reason}). ${ADVICE}`);
    }
  }

  /** Return what zarrita requests: known metadata or a chunk; a missing chunk is an error, never a fill value. */
  async get(key) {
    const [, name, ...rest] = key.split("/");
    if (rest.join("/") === "zarr.json") return new TextEncoder().encode(JSON.stringify(this.arrays[name]));
    return bytes(`${this.path}${key}`);
  }
}

function selected(part, length) {
  if (part === undefined) return null;
  return Array.isArray(part) ? slice(part[0], Math.min(part[1], length)) : part;
}

function narrowed(data) {
  return data instanceof BigInt64Array ? Int32Array.from(data, Number) : data;
}
