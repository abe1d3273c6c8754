// Waypoint's explorer: reads the index, then redraws all views whenever something is chosen or has been read.
import { el, put } from "./dom.js";
import { isPacked, json } from "./files.js";
import { listen } from "./keys.js";
import { whenChanged } from "./resources.js";
import { begin, whenShown } from "./state.js";
import { about } from "./store.js";
import { detail } from "./views/detail.js";
import { filters } from "./views/filters.js";
import { head } from "./views/head.js";
import { lists } from "./views/lists.js";
import { messages } from "./views/messages.js";
import { steps } from "./views/steps.js";
import { targets } from "./views/targets.js";

const FORM = 1; // supported format version of index.json
const VIEWS = { head, targets, steps, filters, lists, detail, messages };

async function start() {
  const index = await json("index.json");
  if (index.form !== FORM) throw new Error("This page and its index.json are of different versions. Run make explore again.");
  about(index);
  begin(index);
  if (!isPacked) document.title = `${index.experiment} · Waypoint`;
  const draw = Object.entries(VIEWS).map(([name, view]) => view(document.getElementById(name)));
  let asked = false;
  const soon = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      for (const each of draw) each();
    });
  };
  whenShown(soon);
  whenChanged(soon);
  listen();
  soon();
}

start().catch((error) => {
  put(document.getElementById("messages"), el("p", { class: "message", text: error.message }));
});
