// Pictures of training images and steps, drawn from sheets of many.
import { el } from "./dom.js";
import { placeOf } from "./images.js";
import { want } from "./resources.js";
import { known, shard } from "./store.js";

const SHOWN = 200; // CSS pixels: larger images are shown smaller
const listed = new Map(); // {image: [sheet, cell]}

/** Remember the sheet and cells of a list's images. */
export function learnSheet(images, sheet) {
  images.train.forEach((image, k) => listed.set(image, [sheet, k]));
}

/** Return a canvas of a cell's size, labelled, or hidden from screen readers if the label is null. */
export function canvas([height, width], label, props = {}) {
  const named = label === null ? { "aria-hidden": "true" } : { role: "img", "aria-label": label };
  return el("canvas", { width, height, ...named, ...props });
}

/** Draw a cell of a sheet. */
export function drawCell(to, sheet, k, across, [height, width]) {
  const x = (k % across) * width;
  const y = Math.floor(k / across) * height;
  // drawn by the CPU: cells are so small that a graphics card would take longer
  const context = to.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.drawImage(sheet, x, y, width, height, 0, 0, to.width, to.height);
}

/** Return a sheet's images per row, and the height and width of its cells. */
export function cellsOf(sheet, count) {
  const across = Math.min(known().images.across, count);
  return [across, [sheet.height / Math.ceil(count / across), sheet.width / across]];
}

/** Return the height and width of an image scaled down to at most `longest` pixels. */
export function scaledDown([height, width], longest) {
  const scale = Math.min(1, longest / Math.max(height, width));
  return [Math.max(1, Math.round(height * scale)), Math.max(1, Math.round(width * scale))];
}

/** Draw an image (C, H, W) of numbers in [−1, 1]. */
export function drawNumbers(to, numbers) {
  const pixels = asPixels(numbers);
  resize(to, pixels);
  to.getContext("2d").putImageData(pixels, 0, 0);
}

/** Draw a picture made by `bitmap`, or leave the canvas empty if it is undefined. */
export function drawBitmap(to, made) {
  if (made) resize(to, made.sheet);
  const context = to.getContext("2d", { willReadFrequently: true });
  if (made) context.drawImage(made.sheet, 0, 0);
  else context.clearRect(0, 0, to.width, to.height);
}

/** Return a picture of the image (C, H, W) that `numbers()` returns; it is made once, and undefined until then. */
export function bitmap(name, numbers) {
  return want(`bitmap/${name}`, async () => {
    const sheet = await createImageBitmap(asPixels(numbers()));
    return { sheet, bytes: 4 * sheet.width * sheet.height };
  });
}

function resize(to, { width, height }) {
  if (to.width !== width || to.height !== height) Object.assign(to, { width, height });
  to.classList.toggle("smooth", Math.max(width, height) > SHOWN);
}

/** Return the pixels of an image (C, H, W) of numbers in [−1, 1], or of bytes. */
function asPixels({ data, shape: [channels, height, width] }) {
  const [scale, offset] = data instanceof Uint8Array ? [1, 0] : [127.5, 127.5];
  const pixels = new ImageData(width, height);
  for (let at = 0; at < height * width; at++) {
    for (let c = 0; c < 3; c++) {
      const value = data[(channels < 3 ? 0 : c) * height * width + at];
      pixels.data[4 * at + c] = scale * value + offset; // rounded and clamped by the array
    }
    pixels.data[4 * at + 3] = 255;
  }
  return pixels;
}

/** Draw a training image; while its sheet is being read, clear the canvas and return false. */
export function drawImage(to, image) {
  const { cell, shard: many, across, listed_across } = known().images;
  if (to.dataset.image === String(image)) return true;
  if (listed.has(image)) {
    drawCell(to, ...listed.get(image), listed_across, cell);
  } else {
    const place = placeOf(image);
    const found = shard(Math.floor(place / many));
    if (!found) {
      to.getContext("2d").clearRect(0, 0, to.width, to.height);
      delete to.dataset.image;
      return false;
    }
    drawCell(to, found.sheet, place % many, across, cell);
  }
  to.dataset.image = image;
  return true;
}
