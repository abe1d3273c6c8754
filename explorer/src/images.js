// Training images: their positions in arrays, and their names.
import { known, texts } from "./store.js";

const learnt = new Map();

/** Return the position of a training image in arrays, which hold only some images in a packed page. */
export function placeOf(image) {
  const { ids } = known().images;
  return ids ? ids.indexOf(image) : image;
}

/** Return the training image at a position in arrays. */
export function imageAt(place) {
  const { ids } = known().images;
  return ids ? ids[place] : place;
}

/** Return the number of images in arrays. */
export function held() {
  const { ids, count } = known().images;
  return ids ? ids.length : count;
}

/** Remember the names of the images in lists. */
export function learn({ images }) {
  images.train.forEach((image, k) => {
    const of = known().images.labelled ? images.class[k] : null;
    learnt.set(image, { file: images.file[k], of, caption: images.caption?.[k] ?? null });
  });
}

/** Return an image's {file, of (its class), caption}, or null while they are being read. */
export function named(image) {
  if (learnt.has(image)) return learnt.get(image);
  const all = texts();
  if (!all) return null;
  const place = placeOf(image);
  const of = all.label ? className(all.label[place]) : null;
  return { file: all.file?.[place] ?? String(image), of, caption: all.caption?.[place] ?? null };
}

/** Return the name of a label's class, or the label. */
export function className(label) {
  const { classes } = known().images;
  return classes?.[label] ?? String(label);
}

/** Return a short description of an image. */
export function inWords(image) {
  const { named: withFiles } = known().images;
  return withFiles ? (named(image)?.file ?? `image ${image}`) : `image ${image}`;
}
