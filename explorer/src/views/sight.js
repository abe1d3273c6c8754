// Elements in view are drawn at once, the others after a pause, so that the slider moves smoothly even with long lists.

const MOMENT = 100; // milliseconds
const drawings = new WeakMap(); // {element: {seen, draw: the pending drawing, or null}}
const waiting = new Set();
let timer = null;

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      drawings.get(target).seen = isIntersecting;
      if (isIntersecting) finish(target);
    }
  },
  { rootMargin: "100px" },
);

/** Draw an element: now if it is in view or was never drawn, otherwise after a pause. */
export function draw(element, how) {
  const known = drawings.get(element);
  if (!known) {
    drawings.set(element, { seen: true, draw: null });
    observer.observe(element);
  }
  if (!known || known.seen) {
    if (known) known.draw = null;
    how();
    return;
  }
  known.draw = how;
  element.dataset.late = "";
  waiting.add(element);
  clearTimeout(timer);
  timer = setTimeout(() => waiting.forEach(finish), MOMENT);
}

function finish(element) {
  const known = drawings.get(element);
  waiting.delete(element);
  delete element.dataset.late;
  known.draw?.();
  known.draw = null;
}
