// Says things in the language that was chosen.

import { TEXTS } from "./texts.js";
import { recall, remember } from "./memory.js";

let language = recall("language", null);
if (!(language in TEXTS)) {
  language = navigator.languages.map((one) => one.split("-")[0]).find((one) => one in TEXTS) ?? "en";
}

// A text of the table, with values in place of what stands in braces.
export function text(key, values = {}) {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

// The text for one thing or many: "added" stands for "added_one" and "added_many".
export const counted = (key, n, values = {}) => text(`${key}_${n === 1 ? "one" : "many"}`, { n, ...values });

export const number = (value, digits = 2) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);

export const date = (seconds) =>
  new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(seconds * 1000));

export function size(bytes) {
  return bytes < 1e6 ? `${number(bytes / 1e3, 0)} kB` : `${number(bytes / 1e6, 1)} MB`;
}

// A time as people say it.
export function duration(seconds) {
  if (seconds < 90) return text("seconds", { n: Math.max(1, Math.round(seconds)) });
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return text("minutes", { n: minutes });
  return text("hours", { n: Math.floor(minutes / 60), m: minutes % 60 });
}

// Every element that names a text gets it: as what it says, or as what it is called for those who do not see it.
export function translate(root = document) {
  for (const one of root.querySelectorAll("[data-text]")) one.textContent = text(one.dataset.text);
  for (const one of root.querySelectorAll("[data-label]")) one.setAttribute("aria-label", text(one.dataset.label));
}

// Fills the list of languages; `changed` is called after another one was chosen.
export function offerLanguages(select, changed) {
  for (const [name, texts] of Object.entries(TEXTS)) {
    const option = new Option(texts.itself, name, name === language, name === language);
    option.lang = name;
    select.append(option);
  }
  const use = () => {
    document.documentElement.lang = language;
    translate();
  };
  select.addEventListener("change", () => {
    language = select.value;
    remember("language", language);
    use();
    changed();
  });
  use();
}
