// Sentences about what could not be read, above everything else.
import { el, put } from "../dom.js";
import { failures } from "../resources.js";

export function messages(place) {
  let said = "";
  return () => {
    const sentences = failures();
    if (sentences.join("\n") === said) return;
    said = sentences.join("\n");
    put(place, sentences.map((text) => el("p", { class: "message", text })));
  };
}
