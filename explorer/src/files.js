// Files beside the page, fetched from its own server, or taken from the page itself if it is a single file.

const packed = document.getElementById("packed");
const inside = packed ? JSON.parse(packed.textContent) : null;
packed?.remove();

export const isPacked = inside !== null;

/** Thrown for an unavailable file; its message is a sentence for the user. */
export class Missing extends Error {}

/** Return the bytes of a file; throws `Missing`. */
export async function bytes(path) {
  if (inside) {
    if (!Object.hasOwn(inside, path)) throw new Missing(`${path} is not in this file.`);
    return Uint8Array.from(atob(inside[path]), (letter) => letter.charCodeAt(0));
  }
  const url = path.split("/").map((part) => (part === ".." ? part : encodeURIComponent(part))).join("/");
  let answer;
  try {
    // revalidated each time, so that a page never mixes files of different runs
    answer = await fetch(url, { cache: "no-cache" });
  } catch {
    throw new Missing(`${path} could not be fetched: is the server still running?`);
  }
  if (!answer.ok) throw new Missing(`${path} is not there (the server says ${answer.status}).`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Return the content of a JSON file; throws `Missing`. */
export async function json(path) {
  const text = new TextDecoder().decode(await bytes(path));
  try {
    return JSON.parse(text);
  } catch {
    throw new Missing(`${path} is damaged: it is no JSON. Run make explore again.`);
  }
}

/** Return a decoded picture; throws `Missing`. */
export async function picture(path) {
  try {
    return await createImageBitmap(new Blob([await bytes(path)], { type: "image/webp" }));
  } catch (error) {
    if (error instanceof Missing) throw error;
    throw new Missing(`${path} is damaged: it is no picture. Run make explore again.`);
  }
}
