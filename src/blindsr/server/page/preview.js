// A preview of the part of a photo that a frame lies on. The part is cut out here, with as much around it as
// has a say in it, and restored by the server without texture and with all of it. A network adds its texture
// to its structure, so whatever the slider says lies between the two, and is mixed here at once.

import { ask, events, forget, get, newKey, post, ServerError } from "./api.js";
import { text } from "./language.js";
import { find, make } from "./parts.js";
import { factor, model, texture } from "./settings.js";
import { Viewer } from "./viewer.js";

const SIDE = 128; // pixels of the photo
const MOST_AROUND = 32; // of what has a say in it, that which has more than a trace of one
const PATIENCE = 350; // milliseconds after the last change

export class Preview {
  constructor(place) {
    this.hint = make("p", { className: "hint", "data-text": "preview_hint" });
    this.frame = make("div", { className: "frame", tabIndex: 0, role: "slider", "data-label": "preview_frame" });
    this.stage = make("div", { className: "photo-stage" });
    this.state = make("p", { className: "hint state", role: "status" });
    this.near = make("p", { className: "hint", "data-text": "preview_near", hidden: true });
    this.shown = make("div", { hidden: true });
    this.canvas = make("canvas");
    this.place = place;
    place.append(this.hint, this.state, this.stage, this.shown, this.near);
    this.viewer = new Viewer(this.shown);
    this.listen();
  }

  // Shows a photo (an <img> that is loaded, or null where this browser cannot) and previews its middle.
  show(item, image) {
    this.stop();
    Object.assign(this, { item, image, views: null });
    this.shown.hidden = true;
    this.place.classList.remove("both");
    this.stage.hidden = this.hint.hidden = !image;
    this.state.textContent = image ? "" : text("preview_none", { name: item.name });
    if (!image) return;
    const [width, height] = [image.naturalWidth, image.naturalHeight];
    this.stage.style.setProperty("--w", width);
    this.stage.style.setProperty("--h", height);
    this.stage.replaceChildren(image, this.frame);
    this.side = [Math.min(SIDE, width), Math.min(SIDE, height)];
    this.corner = item.corner ?? [Math.round((width - this.side[0]) / 2), Math.round((height - this.side[1]) / 2)];
    this.moveTo(...this.corner);
  }

  stop() {
    clearTimeout(this.soon);
    this.abort?.abort();
  }

  moveTo(x, y) {
    const [width, height] = [this.image.naturalWidth, this.image.naturalHeight];
    const within = (value, most) => Math.round(Math.min(Math.max(0, value), most));
    this.corner = this.item.corner = [within(x, width - this.side[0]), within(y, height - this.side[1])];
    const share = (value, whole) => `${100 * value / whole}%`;
    const [left, top] = [share(this.corner[0], width), share(this.corner[1], height)];
    for (const [name, value] of [["--left", left], ["--top", top],
      ["--wide", share(this.side[0], width)], ["--high", share(this.side[1], height)]]) {
      this.frame.style.setProperty(name, value);
    }
    this.frame.setAttribute("aria-label", text("preview_frame"));
    this.frame.setAttribute("aria-valuenow", String(Math.round(parseFloat(left))));
    this.frame.setAttribute("aria-valuetext", `${Math.round(parseFloat(left))} %, ${Math.round(parseFloat(top))} %`);
    this.renew();
  }

  // Something that the views depend on has changed: they are made anew, a little later.
  renew() {
    if (!this.image) return;
    this.stop();
    this.near.hidden = !model().adapts || find("camera").value !== "";
    this.soon = setTimeout(() => this.restore().catch((error) => {
      if (error.name !== "AbortError") this.state.textContent = error.message;
    }), PATIENCE);
  }

  async restore() {
    const { signal } = this.abort = new AbortController();
    const { part, x, y } = this.cut();
    const file = await new Promise((resolve) => { part.toBlob(resolve, "image/png"); });
    const times = factor(this.image.naturalWidth, this.image.naturalHeight);
    const fields = [["files", new File([file], "preview.png")], ["model", model().name], ["scale", String(times)],
      ["format", "png"], ["first", "true"], ...(find("camera").value ? [["profile", find("camera").value]] : [])];
    const textures = model().texture === null ? [[]] : [[["texture", "0"]], [["texture", "1"]]];
    this.state.textContent = text("preview_making");
    const jobs = [];
    try {
      // What is given up meanwhile is taken back below, so the server's answer is waited for in any case.
      for (const more of textures) jobs.push(await post("v1/jobs", [...fields, ...more], newKey()));
      signal.throwIfAborted();
      const views = [];
      for (const job of jobs) views.push(await this.result(job, signal));
      const [width, height] = this.side.map((side) => Math.max(1, Math.round(side * views[0].width / part.width)));
      this.views = views.map((view) => pixelsOf(view, width, height, {
        x: x * view.width / part.width, y: y * view.height / part.height,
        w: this.side[0] * view.width / part.width, h: this.side[1] * view.height / part.height,
      }));
      this.before = make("canvas", { width, height });
      const context = this.before.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(this.image, ...this.corner, ...this.side, 0, 0, width, height);
      Object.assign(this.canvas, { width, height });
      this.shown.hidden = false;
      this.place.classList.add("both");
      this.mix();
      this.viewer.show(this.before, this.canvas, width, height);
      this.state.textContent = text("preview_ready");
    } finally {
      for (const job of jobs) forget(job.href, { keepalive: true }).catch(() => {});
    }
  }

  // The part under the frame with what is around it, and where in that it begins.
  cut() {
    const around = Math.min(model().halo, MOST_AROUND);
    const [left, top] = this.corner.map((one) => Math.max(0, one - around));
    const width = Math.min(this.image.naturalWidth, this.corner[0] + this.side[0] + around) - left;
    const height = Math.min(this.image.naturalHeight, this.corner[1] + this.side[1] + around) - top;
    const part = make("canvas", { width, height });
    part.getContext("2d").drawImage(this.image, left, top, width, height, 0, 0, width, height);
    return { part, x: this.corner[0] - left, y: this.corner[1] - top };
  }

  async result(job, signal) {
    for await (const [kind, content] of events(job, signal)) {
      if (kind === "queued" && content.place > 1) this.state.textContent = text("preview_waits");
      if (kind === "running") this.state.textContent = text("preview_making");
    }
    const ended = await get(job.href, { signal });
    if (ended.status !== "done") throw new ServerError(ended.error ?? text("cancelled"), 0);
    return createImageBitmap(await (await ask(ended.photos[0].href, { signal })).blob());
  }

  // What the slider asks for, from both views; where the mask is painted, less of the texture.
  mix() {
    if (!this.views) return;
    const [none, all = none] = this.views;
    const { width, height } = this.canvas;
    const mixed = new ImageData(width, height);
    const [from, to, out] = [none.data, all.data, mixed.data];
    const levels = this.item.mask ? this.maskPart(width, height) : null;
    const share = texture();
    for (let i = 0; i < out.length; i++) {
      const part = levels ? share * (1 - levels[i - i % 4] / 255) : share;
      out[i] = from[i] + (to[i] - from[i]) * part;
    }
    this.canvas.getContext("2d").putImageData(mixed, 0, 0);
  }

  maskPart(width, height) {
    const mask = this.item.mask.canvas;
    const times = mask.width / this.image.naturalWidth;
    const [x, y, w, h] = [...this.corner, ...this.side].map((one) => one * times);
    return pixelsOf(mask, width, height, { x, y, w, h }).data;
  }

  listen() {
    let grip = null;
    const at = (event) => {
      const box = this.stage.getBoundingClientRect();
      const times = this.image.naturalWidth / box.width;
      return [(event.clientX - box.left) * times, (event.clientY - box.top) * times];
    };
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const [x, y] = at(event);
      const inside = [x - this.corner[0], y - this.corner[1]];
      const held = event.target === this.frame;
      // Elsewhere on the photo the frame comes to where one points.
      grip = held ? inside : this.side.map((side) => side / 2);
      this.stage.setPointerCapture(event.pointerId);
      this.moveTo(x - grip[0], y - grip[1]);
      event.preventDefault();
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const [x, y] = at(event);
      this.moveTo(x - grip[0], y - grip[1]);
    });
    for (const end of ["pointerup", "pointercancel"]) this.stage.addEventListener(end, () => { grip = null; });
    this.frame.addEventListener("keydown", (event) => {
      const step = this.side[0] / 4;
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (!(event.key in moves)) return;
      this.moveTo(this.corner[0] + moves[event.key][0], this.corner[1] + moves[event.key][1]);
      event.preventDefault();
    });
  }
}

// A part of a picture, in so many pixels.
function pixelsOf(picture, width, height, { x, y, w, h }) {
  const context = make("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, x, y, w, h, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}
