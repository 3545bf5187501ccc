// Before and after under one divider, with zoom: wheel, pinch, keys or buttons. What is shown are images or
// canvases; both lie in the same place, whatever their own sizes.

import { make } from "./parts.js";

const LARGEST = 16;
const STEP = 1.25;
const between = (low, value, high) => Math.min(high, Math.max(low, value));

export class Viewer {
  // Builds itself at the end of an element.
  constructor(place) {
    this.before = make("div", { className: "side" });
    this.after = make("div", { className: "side" });
    this.line = make("div", { className: "line" }, make("div", { className: "grip" }));
    this.names = ["before", "after"].map((name) => make("span", { className: `tag ${name}`, "data-text": name, "aria-hidden": "true" }));
    this.stage = make("div", { className: "stage", tabIndex: 0, role: "group", "data-label": "viewer" },
      this.before, this.after, this.line, ...this.names);
    this.range = make("input", { type: "range", className: "divider", min: 0, max: 100, step: 1, value: 50, "data-label": "divider" });
    this.zooms = [[null, "zoom_fit"], [1, "100 %"], [2, "200 %"]].map(([zoom, name]) => this.zoomButton(zoom, name));
    this.told = make("output", { className: "hint" });
    this.bar = make("div", { className: "bar", role: "group", "data-label": "zoom" }, ...this.zooms, this.told);
    this.element = make("div", { className: "viewer" }, this.bar, this.stage, this.range);
    place.append(this.element);
    this.range.addEventListener("input", () => this.draw());
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.stage);
  }

  zoomButton(zoom, name) {
    const one = make("button", { type: "button", className: "quiet" });
    if (zoom === null) one.dataset.text = name;
    else one.textContent = name;
    one.addEventListener("click", () => this.zoomTo(zoom));
    return one;
  }

  // Shows a result of so many pixels, and what was there before (or null).
  show(before, after, width, height) {
    const same = this.width === width && this.height === height;
    Object.assign(this, { width, height });
    this.before.replaceChildren(...(before ? [before] : []));
    this.after.replaceChildren(after);
    this.alone = !before;
    this.element.classList.toggle("alone", this.alone);
    this.element.style.setProperty("--w", width);
    this.element.style.setProperty("--h", height);
    if (!same) this.zoomTo(null);
    this.draw();
  }

  // At 100 % a pixel of the result is one of the screen.
  get fitting() {
    return Math.min(this.stage.clientWidth / this.width, this.stage.clientHeight / this.height);
  }

  get scale() {
    return this.zoom === null ? this.fitting : this.zoom / devicePixelRatio;
  }

  // Zooms; the point of the stage (in its own pixels) stays where it is.
  zoomTo(zoom, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
    const before = this.scale;
    this.zoom = zoom === null ? null : between(Math.min(this.fitting * devicePixelRatio, 1), zoom, LARGEST);
    const times = this.scale / before;
    this.x = x - (x - (this.x ?? 0)) * times;
    this.y = y - (y - (this.y ?? 0)) * times;
    this.draw();
  }

  zoomBy(times, x, y) {
    this.zoomTo(this.scale * devicePixelRatio * times, x, y);
  }

  moveBy(x, y) {
    this.x += x;
    this.y += y;
    this.draw();
  }

  draw() {
    const { clientWidth: w, clientHeight: h } = this.stage;
    if (!this.width || !w) return;
    const [wide, high] = [this.width * this.scale, this.height * this.scale];
    // What is smaller than the stage stands in its middle, what is larger covers it.
    this.x = wide <= w ? (w - wide) / 2 : between(w - wide, this.x ?? 0, 0);
    this.y = high <= h ? (h - high) / 2 : between(h - high, this.y ?? 0, 0);
    const set = (name, value) => this.stage.style.setProperty(name, value);
    for (const [name, value] of [["--x", this.x], ["--y", this.y], ["--wide", wide], ["--high", high]]) set(name, `${value}px`);
    set("--split", `${this.alone ? 0 : this.range.value}%`);
    const shown = this.scale * devicePixelRatio;
    this.stage.classList.toggle("near", shown >= 3);
    this.stage.classList.toggle("moves", this.moves);
    this.told.value = `${Math.round(100 * shown)} %`;
    this.zooms.forEach((one, n) => one.setAttribute("aria-pressed", String(this.zoom === [null, 1, 2][n])));
    this.range.setAttribute("aria-valuetext", `${this.range.value} %`);
  }

  get moves() {
    return this.width * this.scale > this.stage.clientWidth + 1 || this.height * this.scale > this.stage.clientHeight + 1;
  }

  divideAt(x) {
    this.range.value = Math.round(100 * between(0, x / this.stage.clientWidth, 1));
    this.draw();
  }

  listen() {
    const fingers = new Map();
    let divides = false;
    const at = (event) => {
      const box = this.stage.getBoundingClientRect();
      return [event.clientX - box.left - this.stage.clientLeft, event.clientY - box.top - this.stage.clientTop];
    };
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      fingers.set(event.pointerId, at(event));
      this.stage.setPointerCapture(event.pointerId);
      divides = !this.alone && (!this.moves || event.target.closest(".line") !== null);
      if (divides && fingers.size === 1) this.divideAt(at(event)[0]);
    });
    this.stage.addEventListener("pointermove", (event) => {
      const was = fingers.get(event.pointerId);
      if (!was) return;
      const now = at(event);
      const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      fingers.set(event.pointerId, now);
      if (other) {
        const far = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
        this.zoomBy(far(now) / Math.max(1, far(was)), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      } else if (divides) this.divideAt(now[0]);
      else this.moveBy(now[0] - was[0], now[1] - was[1]);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.stage.addEventListener(end, (event) => fingers.delete(event.pointerId));
    }
    this.stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(2 ** (-event.deltaY / 300), ...at(event));
    }, { passive: false });
    this.stage.addEventListener("keydown", (event) => this.onKey(event));
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
    if (event.key === "+" || event.key === "=") this.zoomBy(STEP);
    else if (event.key === "-") this.zoomBy(1 / STEP);
    else if (event.key === "0") this.zoomTo(null);
    else if (event.key === "1" || event.key === "2") this.zoomTo(Number(event.key));
    else if (event.key in moves && this.moves) this.moveBy(...moves[event.key]);
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      this.range.value = Number(this.range.value) + (event.key === "ArrowLeft" ? -2 : 2);
      this.draw();
    } else return;
    event.preventDefault();
  }
}
