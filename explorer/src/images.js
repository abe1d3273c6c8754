// Training images: their places in arrays, and what they are called.
import { known, texts } from "./store.js";

const learnt = new Map();

/** The place of a training image in arrays; in a packed page they hold only some. */
export function placeOf(image) {
  const { ids } = known().images;
  return ids ? ids.indexOf(image) : image;
}

/** The training image at a place of arrays. */
export function imageAt(place) {
  const { ids } = known().images;
  return ids ? ids[place] : place;
}

/** How many images arrays hold. */
export function held() {
  const { ids, count } = known().images;
  return ids ? ids.length : count;
}

/** Remember what the images of lists are called. */
export function learn({ images }) {
  images.train.forEach((image, k) => {
    const of = known().images.labelled ? images.class[k] : null;
    learnt.set(image, { file: images.file[k], of, caption: images.caption?.[k] ?? null });
  });
}

/** What an image is called: {file, of (its class), caption}; null while that is read. */
export function named(image) {
  if (learnt.has(image)) return learnt.get(image);
  const all = texts();
  if (!all) return null;
  const place = placeOf(image);
  const of = all.label ? className(all.label[place]) : null;
  return { file: all.file?.[place] ?? String(image), of, caption: all.caption?.[place] ?? null };
}

/** The name of a label's class, or the label. */
export function className(label) {
  const { classes } = known().images;
  return classes?.[label] ?? String(label);
}

/** An image in a few words. */
export function inWords(image) {
  const { named: withFiles } = known().images;
  return withFiles ? (named(image)?.file ?? `image ${image}`) : `image ${image}`;
}
