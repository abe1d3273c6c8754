// Keyboard shortcuts, active unless a control uses the key: arrows change the step, [ and ] change the target.
import { change, now, target } from "./state.js";
import { known } from "./store.js";

const WANTED = "input, select, textarea, [contenteditable], .scroll, summary";

export function listen() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(WANTED)) return;
    const move = { ArrowLeft: [step, 1], ArrowRight: [step, -1], "[": [other, -1], "]": [other, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    move[0](move[1]);
  });
}

/** Move `by` steps; steps ascend, and noise is on the left. */
function step(by) {
  const { steps } = target();
  const at = steps.indexOf(now().step) + by;
  if (at >= 0 && at < steps.length) change({ step: steps[at] });
}

function other(by) {
  const { targets } = known();
  const at = targets.findIndex(({ id }) => id === now().target) + by;
  if (at >= 0 && at < targets.length) change({ target: targets[at].id });
}
