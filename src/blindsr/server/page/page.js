// The page: photos come in, are previewed, sent, followed, compared and saved. Each part has a module of its
// own; here they meet.

import { get } from "./api.js";
import { Brush, maskFile, newMask } from "./brush.js";
import { beginCameras, drawCameras } from "./camera.js";
import { offerLanguages, text } from "./language.js";
import { fail, find } from "./parts.js";
import { Preview } from "./preview.js";
import { Queue } from "./queue.js";
import { loaded, Result } from "./result.js";
import { current, jobFields, model, offerSettings, put } from "./settings.js";

const queue = new Queue(open, (item) => { if (item === queue.selected) showWork(item).catch(fail); });
const preview = new Preview(find("preview"));
const brush = new Brush(find("brush"), () => preview.mix());
const result = new Result(find("result"), queue);
let models = [];

// --- what is worked on ---

function open(item) {
  find("work").hidden = !item;
  preview.stop();
  if (!item) return;
  if (item.settings && item.status === "waiting") put(item.settings);
  showWork(item).catch(fail);
}

let shown = "";

async function showWork(item) {
  const isReady = item.status === "waiting";
  const look = `${item.key} ${isReady}`;
  find("work-title").textContent = item.name;
  find("before-work").hidden = !isReady;
  find("result").hidden = isReady;
  if (!isReady) {
    preview.stop();
    shown = look;
    await result.show(item, photoOf);
  } else if (shown !== look) {
    shown = look;
    const image = await photoOf(item);
    if (shown !== look) return;
    if (image) item.mask ??= newMask(image.naturalWidth, image.naturalHeight, item.strokes);
    item.element = image;
    preview.show(item, image);
    useTool("preview");
  }
}

// The photo itself, as an <img>; null where it is not here any more, or this browser cannot show it.
const photoOf = (item) => (item.thumb ? loaded(item.thumb) : null);

function useTool(name) {
  const item = queue.selected;
  const image = item?.element;
  const canBrush = image && model().texture !== null;
  const tool = name === "brush" && canBrush ? "brush" : "preview";
  find("tool-brush").disabled = !canBrush;
  find("tool-brush").title = image && !canBrush ? text("brush_none", { name: model().name }) : "";
  for (const one of ["preview", "brush"]) {
    find(one).hidden = one !== tool;
    find(`tool-${one}`).setAttribute("aria-pressed", String(one === tool));
  }
  if (!image) return;
  if (tool === "brush") brush.show(image, item.mask);
  else preview.mix();
}

for (const name of ["preview", "brush"]) find(`tool-${name}`).addEventListener("click", () => useTool(name));

// --- photos come in ---

find("files").addEventListener("change", (event) => {
  queue.add(event.target.files);
  event.target.value = "";
});

document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) queue.add(event.clipboardData.files);
});

for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    find("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") queue.add(event.dataTransfer.files);
  });
}

// --- settings ---

function settingsChanged(id) {
  if (id === "texture") preview.mix();
  else if (id !== "format") preview.renew();
  if (id === "model" || id === "camera") useTool(find("brush").hidden ? "preview" : "brush");
}

find("settings").addEventListener("submit", (event) => {
  event.preventDefault();
  try {
    const masks = (item) => (model().texture === null ? null : maskFile(item.mask));
    queue.start(jobFields(), current(), masks).catch(fail);
  } catch (error) {
    fail(error);
  }
});

find("error").querySelector("button").addEventListener("click", () => { find("error").hidden = true; });
window.addEventListener("pagehide", () => preview.stop());

// --- the beginning ---

offerLanguages(find("language"), () => {
  offerSettings(models, settingsChanged);
  drawCameras();
  queue.translate();
  if (queue.selected) {
    result.shown = null;
    shown = "";
    showWork(queue.selected).catch(fail);
  }
});

async function begin() {
  queue.drawAll();
  ({ models } = await get("v1/models"));
  offerSettings(models, settingsChanged);
  await queue.restore();
  if (models.some((one) => one.adapts)) await beginCameras();
  else find("camera-card").hidden = find("camera-field").hidden = true;
}

begin().catch(fail);
