// The panel beside the lists: the training image or the group that was clicked.
import { el, put } from "../dom.js";
import { change, now } from "../state.js";
import { group } from "./group.js";
import { image } from "./image.js";

export function detail(place) {
  let shown = null;
  let part = null;
  let opener = null;
  place.hidden = true;
  place.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });

  function close() {
    change({ image: null, group: null });
    if (opener?.isConnected) opener.focus();
  }

  return () => {
    const state = now();
    const key = state.group !== null ? `group ${state.group}` : state.image !== null ? `image ${state.image}` : null;
    if (key !== shown) {
      const first = shown === null && document.readyState === "complete";
      shown = key;
      place.hidden = key === null;
      document.body.classList.toggle("with-detail", key !== null);
      if (key === null) {
        put(place);
        part = null;
        return;
      }
      if (first) opener = document.activeElement;
      const inside = el("div", { class: "inside" });
      const leave = el("button", { type: "button", class: "close", "aria-label": "Close", text: "×", on: { click: close } });
      put(place, leave, inside);
      part = state.group !== null ? group(inside, state.group) : image(inside, state.image);
      if (opener && document.activeElement !== document.body) place.focus({ preventScroll: innerWidth >= 1000 });
    }
    part?.();
  };
}
