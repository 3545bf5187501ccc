// A brush for the texture mask: what is painted over gets no texture. The mask is a gray picture of levels,
// black where nothing is painted and white where all of it is taken away; strokes are kept, to undo them.

import { button, make, slider } from "./parts.js";

const LONGEST = 1024; // pixels of the mask's longer side: a brush draws no finer
const TINT = [214, 40, 120];
const STEP = 12; // pixels of the screen that a key moves the brush by

// A mask for a photo of so many pixels.
export function newMask(width, height, strokes = []) {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const canvas = make("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const mask = { canvas, strokes };
  redraw(mask);
  return mask;
}

// The mask as the server takes it, white where texture goes; null where nothing was painted.
export async function maskFile(mask) {
  if (!mask || !mask.strokes.some((stroke) => !stroke.erases)) return null;
  const turned = make("canvas", { width: mask.canvas.width, height: mask.canvas.height });
  const context = turned.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, turned.width, turned.height);
  context.globalCompositeOperation = "difference"; // white less the levels
  context.drawImage(mask.canvas, 0, 0);
  const blob = await new Promise((resolve) => { turned.toBlob(resolve, "image/png"); });
  return new File([blob], "mask.png", { type: "image/png" });
}

function redraw(mask) {
  const context = mask.canvas.getContext("2d", { willReadFrequently: true });
  context.globalCompositeOperation = "source-over";
  context.fillStyle = "#000";
  context.fillRect(0, 0, mask.canvas.width, mask.canvas.height);
  for (const stroke of mask.strokes) stroke.points.forEach((_, n) => stamp(mask, stroke, n));
}

// The n-th point of a stroke, and what lies between it and the one before. Of what overlaps the stronger
// counts, so that a soft edge stays soft however slowly one paints.
function stamp(mask, stroke, n) {
  const context = mask.canvas.getContext("2d");
  const [x, y] = stroke.points[n];
  const [fromX, fromY] = stroke.points[n - 1] ?? [x, y];
  const steps = Math.max(1, Math.ceil(Math.hypot(x - fromX, y - fromY) / Math.max(1, stroke.radius / 5)));
  const [inside, edge] = stroke.erases ? ["#000", "#fff"] : ["#fff", "#000"];
  context.globalCompositeOperation = stroke.erases ? "darken" : "lighten";
  for (let i = 1; i <= steps; i++) {
    const [px, py] = [fromX + (x - fromX) * i / steps, fromY + (y - fromY) * i / steps];
    const paint = context.createRadialGradient(px, py, stroke.radius * (1 - stroke.soft), px, py, stroke.radius + 0.01);
    paint.addColorStop(0, inside);
    paint.addColorStop(1, edge);
    context.fillStyle = paint;
    context.beginPath();
    context.arc(px, py, stroke.radius, 0, 2 * Math.PI);
    context.fill();
  }
}

export class Brush {
  // Builds itself in an element; `changed` is called after each stroke.
  constructor(place, changed) {
    this.changed = changed;
    this.tint = make("canvas", { className: "tint", "aria-hidden": "true" });
    this.ring = make("div", { className: "ring" });
    this.stage = make("div", { className: "photo-stage paints", tabIndex: 0, role: "group", "data-label": "brush_stage" });
    const tool = (name, work) => button(name, work, { kind: "quiet" });
    this.erases = tool("brush_erase", () => this.setErases(true));
    this.paints = tool("brush_paint", () => this.setErases(false));
    this.tools = make("div", { className: "tools" },
      make("div", { className: "switch" }, this.paints, this.erases),
      slider("brush_size", { min: 4, max: 200, step: 2, value: 48 }, (value) => { this.size = value; }),
      slider("brush_soft", { min: 0, max: 1, step: 0.05, value: 0.5 }, (value) => { this.soft = value; }),
      make("div", { className: "row" }, tool("brush_undo", () => this.undo()), tool("brush_clear", () => this.clear())));
    place.append(make("p", { className: "hint", "data-text": "brush_hint" }), this.stage, this.tools);
    this.setErases(false);
    this.listen();
  }

  setErases(erases) {
    this.isErasing = erases;
    this.erases.setAttribute("aria-pressed", String(erases));
    this.paints.setAttribute("aria-pressed", String(!erases));
  }

  // Shows a photo (an <img> that is loaded) under its mask.
  show(image, mask) {
    this.mask = mask;
    this.stage.style.setProperty("--w", image.naturalWidth);
    this.stage.style.setProperty("--h", image.naturalHeight);
    Object.assign(this.tint, { width: mask.canvas.width, height: mask.canvas.height });
    this.at = [mask.canvas.width / 2, mask.canvas.height / 2];
    this.stage.replaceChildren(image.cloneNode(), this.tint, this.ring);
    this.drawTint();
  }

  undo() {
    this.mask.strokes.pop();
    redraw(this.mask);
    this.drawTint();
    this.changed();
  }

  clear() {
    this.mask.strokes.length = 0;
    redraw(this.mask);
    this.drawTint();
    this.changed();
  }

  // Pixels of the mask in one of the screen.
  get grain() {
    return this.mask.canvas.width / (this.stage.clientWidth || 1);
  }

  begin(point) {
    this.stroke = { points: [], radius: this.size / 2 * this.grain, soft: this.soft, erases: this.isErasing };
    this.mask.strokes.push(this.stroke);
    this.extend(point);
  }

  extend(point) {
    this.stroke.points.push(point);
    stamp(this.mask, this.stroke, this.stroke.points.length - 1);
    const last = this.stroke.points.at(-2) ?? point;
    const far = this.stroke.radius + 2;
    this.drawTint(Math.min(point[0], last[0]) - far, Math.min(point[1], last[1]) - far,
      Math.abs(point[0] - last[0]) + 2 * far, Math.abs(point[1] - last[1]) + 2 * far);
  }

  // The levels of a part of the mask as a tint over the photo.
  drawTint(x = 0, y = 0, width = this.tint.width, height = this.tint.height) {
    const left = Math.max(0, Math.floor(x));
    const top = Math.max(0, Math.floor(y));
    const wide = Math.min(this.tint.width, Math.ceil(x + width)) - left;
    const high = Math.min(this.tint.height, Math.ceil(y + height)) - top;
    if (wide <= 0 || high <= 0) return;
    const levels = this.mask.canvas.getContext("2d").getImageData(left, top, wide, high);
    const { data } = levels;
    for (let i = 0; i < data.length; i += 4) {
      data[i + 3] = data[i] * 0.6;
      [data[i], data[i + 1], data[i + 2]] = TINT;
    }
    this.tint.getContext("2d").putImageData(levels, left, top);
  }

  moveRing([x, y]) {
    this.at = [Math.min(this.tint.width, Math.max(0, x)), Math.min(this.tint.height, Math.max(0, y))];
    this.ring.style.setProperty("--x", `${this.at[0] / this.grain}px`);
    this.ring.style.setProperty("--y", `${this.at[1] / this.grain}px`);
    this.ring.style.setProperty("--size", `${this.size}px`);
  }

  listen() {
    let painting = null;
    const at = (event) => {
      const box = this.stage.getBoundingClientRect();
      return [(event.clientX - box.left) * this.grain, (event.clientY - box.top) * this.grain];
    };
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || painting !== null) return;
      painting = event.pointerId;
      this.stage.setPointerCapture(painting);
      this.moveRing(at(event));
      this.begin(at(event));
    });
    this.stage.addEventListener("pointermove", (event) => {
      this.moveRing(at(event));
      if (event.pointerId === painting) this.extend(at(event));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.stage.addEventListener(end, (event) => {
        if (event.pointerId !== painting) return;
        painting = null;
        this.changed();
      });
    }
    this.stage.addEventListener("keydown", (event) => {
      const step = STEP * this.grain;
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (event.key in moves) this.moveRing([this.at[0] + moves[event.key][0], this.at[1] + moves[event.key][1]]);
      else if (event.key === " ") {
        this.begin([...this.at]);
        this.changed();
      } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) this.undo();
      else return;
      event.preventDefault();
    });
  }
}
