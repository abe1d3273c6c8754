// The data of one experiment by meaning: scores, names, lists and pictures; undefined while being read.
import { openStore } from "./arrays.js";
import { json, picture } from "./files.js";
import { warn, want } from "./resources.js";

let index = null;

export function about(found) {
  index = found;
}

export const known = () => index;

/** Return a method's scores for a target, {score, error, steps, n}; score and error are (steps, n), row by row. */
export function scores(method, target) {
  return want(scoresName(method, target), () => readScores(method, target));
}

export function scoresName(method, target) {
  return `scores/${method}/${target}`;
}

async function readScores(method, target) {
  const name = `scores/${method}/${target}.zarr`;
  const store = await openStore(`${index.store}${name}`);
  const parts = [store.read("score"), store.has("score_se") ? store.read("score_se") : null, store.read("step")];
  const [score, error, step] = await Promise.all(parts);
  if (store.attributes.identity !== index.made_from[`${method}/${target}`]) {
    const what = `${name} is newer than this page, whose lists and pictures may be others: run make explore again.`;
    warn(`newer/${method}/${target}`, what);
  }
  const bytes = score.data.byteLength + (error?.data.byteLength ?? 0);
  return { score: score.data, error: error?.data ?? null, steps: [...step.data], n: score.shape[1], bytes };
}

/** Return the lists of a method and target with their judgement by halves: see lists.py. */
export function lists(method, target) {
  return want(`lists/${method}/${target}`, () => json(`lists/${method}/${target}.json`));
}

/** Return the sheet of those lists' images. */
export function listSheet(method, target) {
  return want(`sheet/${method}/${target}`, () => picture(`pictures/lists/${method}/${target}.webp`));
}

/** Return the sheet of a target's steps. */
export function stepSheet(target) {
  return want(`steps/${target}`, () => picture(`pictures/steps/${target}.webp`));
}

export function targetSheet() {
  return want("targets", () => picture("pictures/targets.webp"));
}

/** Return a sheet of training images. */
export function shard(k) {
  return want(`train/${k}`, async () => {
    const sheet = await picture(`pictures/train/${k}.webp`);
    return { sheet, bytes: 4 * sheet.width * sheet.height };
  });
}

/** Return the names, labels and captions of all training images, {file, label, caption}, each an array or null. */
export function texts() {
  return want("texts", async () => {
    const store = await openStore(`${index.store}data/train.zarr`);
    const read = async (name) => (store.has(name) ? (await store.read(name)).data : null);
    const [file, label, caption] = await Promise.all(["file", "label", "caption"].map(read));
    return { file, label, caption };
  });
}

/** Return a training image in full size, {data, shape}, (C, H, W) in [−1, 1]; its whole chunk is read. */
export function wholeImage(image) {
  return want(wholeName(image), async () => (await openStore(`${index.store}data/train.zarr`)).read("image", image));
}

export function wholeName(image) {
  return `whole/${image}`;
}

/** Return the first near-duplicate of each image. */
export function firsts() {
  return want("firsts", async () => {
    const store = await openStore(`${index.store}data/near_duplicates.zarr`);
    return (await store.read("first")).data;
  });
}

/** Return the images of every group, {group: [indices]}. */
export function members() {
  if (!Object.keys(index.groups).length) return {};
  return want("members", () => json("members.json"));
}

/** Return the sums of groups with both nulls for a method and target. */
export function sums(method, target) {
  return want(`groups/${method}/${target}`, () => json(`groups/${method}/${target}.json`));
}
