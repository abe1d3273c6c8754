// What is in sight is drawn at once, the rest when nothing has been drawn for a moment: so long lists slide too.

const MOMENT = 100; // milliseconds
const drawings = new WeakMap(); // {element: {seen, draw: what waits, or null}}
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

/** Draw an element: now if it is in sight or was never drawn, else a moment after the last drawing. */
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
