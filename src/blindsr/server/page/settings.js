// How photos are to be restored: the fields of the form, as the server takes them. They are remembered.

import { number, text } from "./language.js";
import { recall, remember } from "./memory.js";
import { find } from "./parts.js";

const FIELDS = ["model", "size", "size-value", "texture", "format", "camera"];
const SIZES = {
  scale: { example: "2.5", pattern: "[0-9]{1,2}([.,][0-9]{1,3})?", mode: "decimal" },
  width: { example: "1920", pattern: "[1-9][0-9]{0,5}", mode: "numeric" },
  height: { example: "1080", pattern: "[1-9][0-9]{0,5}", mode: "numeric" },
  fit: { example: "3840x2160", pattern: "[1-9][0-9]{0,6} *[x×] *[1-9][0-9]{0,6}", mode: "text" },
};

let models = [];
let changed = () => {};

export const model = () => models.find((one) => one.name === find("model").value) ?? models[0];

// Builds the form; `whenChanged` is called with the name of what was changed.
export function offerSettings(offered, whenChanged) {
  const before = models.length ? current() : recall("settings", {});
  models = offered;
  if (!models.length) return;
  find("model").replaceChildren(...models.map((one) => new Option(
    text("model_option", { name: one.name, scale: one.scale }), one.name, one.default, one.default)));
  put(before);
  if (changed === whenChanged) return;
  changed = whenChanged;
  for (const id of FIELDS) {
    find(id).addEventListener("input", () => {
      if (id === "model") find("texture").value = model().texture ?? 0;
      if (id === "size") find("size-value").value = SIZES[find("size").value]?.example ?? "";
      draw();
      remember("settings", current());
      changed(id);
    });
  }
}

// What the form says, to be put there again.
export const current = () => Object.fromEntries(FIELDS.map((id) => [id, find(id).value]));

export function put(settings) {
  for (const [id, value] of Object.entries(settings)) {
    const field = find(id);
    if (!field || (field.options && ![...field.options].some((one) => one.value === value))) continue;
    field.value = value;
  }
  if (settings.texture === undefined) find("texture").value = model().texture ?? 0;
  draw();
}

// A camera's profile has its model.
export function offerCameras(profiles, nameOf) {
  const chosen = recall("settings", {}).camera;
  const options = profiles.filter((one) => one.status === "done").map((one) => {
    const option = new Option(nameOf(one), one.id);
    option.dataset.model = one.model;
    return option;
  });
  find("camera").replaceChildren(new Option(text("camera_no"), ""), ...options);
  find("camera").value = options.some((one) => one.value === chosen) ? chosen : "";
  draw();
}

function draw() {
  const ofCamera = find("camera").selectedOptions[0]?.dataset.model;
  if (ofCamera) find("model").value = ofCamera;
  find("model").disabled = Boolean(ofCamera);
  find("model-hint").textContent = model()?.description ?? "";
  find("texture-field").hidden = model()?.texture === null;
  find("texture-value").value = number(texture());
  const kind = SIZES[find("size").value];
  const value = find("size-value");
  value.hidden = !kind;
  value.disabled = !kind;
  if (kind) Object.assign(value, { pattern: kind.pattern, placeholder: kind.example, inputMode: kind.mode, required: true });
}

export const texture = () => Number(find("texture").value);

const sizeGiven = () => find("size-value").value.trim().replace(",", ".").replace("×", "x").replaceAll(" ", "");

// The fields of a job, or an error that says what is wrong.
export function jobFields() {
  const size = find("size").value;
  if (size && !find("size-value").checkValidity()) {
    find("size-value").focus();
    const wrong = new Error(text("size_wrong", { example: SIZES[size].example }));
    throw Object.assign(wrong, { fromServer: true });
  }
  const fields = [["model", model().name]];
  if (size) fields.push([size, sizeGiven()]);
  if (model().texture !== null) fields.push(["texture", String(texture())]);
  for (const [name, id] of [["format", "format"], ["profile", "camera"]]) {
    if (find(id).value) fields.push([name, find(id).value]);
  }
  return fields;
}

// Times as large as these settings make a photo of so many pixels.
export function factor(width, height) {
  const given = sizeGiven();
  const [across, down] = given.split("x").map(Number);
  const found = {
    scale: Number(given),
    width: Number(given) / width,
    height: Number(given) / height,
    fit: Math.min(across / width, down / height),
  }[find("size").value];
  return found > 0 && Number.isFinite(found) ? Math.min(found, 32) : model().scale;
}
