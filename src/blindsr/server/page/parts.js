// Elements. What they say is text, never HTML, wherever it comes from.

import { text } from "./language.js";

export const find = (id) => document.getElementById(id);

// An element with properties and children (elements or text); names with a dash are attributes.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

// A button that says what became of its work only where that failed; `label` is its full name, and `sign` is
// shown in place of its text.
export function button(name, work, { label, kind = "", sign } = {}) {
  const made = make("button", { type: "button", textContent: sign ?? text(name), className: kind });
  if (!sign) made.dataset.text = name;
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", () => Promise.resolve(work()).catch(fail));
  return made;
}

// A slider with its name; `used` is called with its value at once and at each change.
export function slider(name, { min, max, step, value }, used) {
  const input = make("input", { type: "range" });
  Object.assign(input, { min, max, step, value });
  input.addEventListener("input", () => used(Number(input.value)));
  used(value);
  return make("label", {}, make("span", { "data-text": name, textContent: text(name) }), input);
}

// A name that fits a line.
export const brief = (name) => (name.length > 50 ? `${name.slice(0, 30)}…${name.slice(-15)}` : name);

// Said aloud by screen readers, and shown for a while.
let fading;
export function say(message) {
  find("message").textContent = message;
  clearTimeout(fading);
  fading = setTimeout(() => { find("message").textContent = ""; }, 6000);
}

// An error stays until it is closed.
export function fail(error) {
  if (error?.name === "AbortError") return;
  find("error").firstElementChild.textContent = error.fromServer
    ? error.message
    : text("fault", { what: error.message });
  find("error").hidden = false;
}
