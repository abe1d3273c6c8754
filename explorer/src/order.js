// Orders of training images: pure functions of scores. Images are given by their positions in arrays.

/** Return the `k` candidates with the largest (sign 1) or smallest (sign −1) values, best first; ties by position. */
export function best(values, offset, candidates, k, sign) {
  const found = [];
  let bound = -Infinity;
  for (const place of candidates) {
    const value = sign * values[offset + place];
    if (found.length === k && !(value > bound)) continue;
    let at = found.length;
    while (at > 0 && sign * values[offset + found[at - 1]] < value) at--;
    found.splice(at, 0, place);
    if (found.length > k) found.pop();
    bound = sign * values[offset + found[found.length - 1]];
  }
  return found;
}

/** Return ranks, from 1, of images among all candidates, the largest (sign 1) or smallest (sign −1) value first. */
export function ranks(values, offset, candidates, places, sign) {
  const asked = places.map((place) => sign * values[offset + place]);
  const above = new Array(places.length).fill(1);
  for (const place of candidates) {
    const value = sign * values[offset + place];
    for (let k = 0; k < asked.length; k++) if (value > asked[k]) above[k]++;
  }
  return above;
}

/** Return |values| of a row. */
export function sizes(values, offset, n) {
  const found = new Float32Array(n);
  for (let k = 0; k < n; k++) found[k] = Math.abs(values[offset + k]);
  return found;
}

/**
 * Return how far scores change their sign over the steps: the smaller of the largest push towards and the largest push
 * away, each as a multiple of its step's root mean square; 0 or less if the sign does not change.
 */
export function swings(values, steps, n) {
  const up = new Float32Array(n).fill(-Infinity);
  const down = new Float32Array(n).fill(-Infinity);
  for (let s = 0; s < steps; s++) {
    let sum = 0;
    for (let k = 0; k < n; k++) sum += values[s * n + k] ** 2;
    const scale = 1 / (Math.sqrt(sum / n) || 1);
    for (let k = 0; k < n; k++) {
      const value = values[s * n + k] * scale;
      if (value > up[k]) up[k] = value;
      if (-value > down[k]) down[k] = -value;
    }
  }
  return up.map((value, k) => Math.min(value, down[k]));
}
