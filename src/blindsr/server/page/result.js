// A result beside its photo: before and after, keep it or undo, and what became of what the file carried.

import { ask } from "./api.js";
import { number, size, text } from "./language.js";
import { button, make } from "./parts.js";
import { Viewer } from "./viewer.js";

export class Result {
  // `queue` does what the buttons ask for.
  constructor(place, queue) {
    Object.assign(this, { place, queue, shown: null });
    this.state = make("p", { className: "hint", role: "status" });
    this.frame = make("div", { hidden: true });
    this.choice = make("div", { className: "row" });
    this.envelope = make("div");
    place.append(this.state, this.frame, this.choice, this.envelope);
    this.viewer = new Viewer(this.frame);
  }

  // Shows a photo that was sent; `photoOf` loads the photo itself, and gives null where that cannot be.
  async show(item, photoOf) {
    const look = `${item.key} ${item.status}`;
    this.drawChoice(item);
    this.drawEnvelope(item);
    if (this.shown === look && item.status === "done") return;
    this.shown = look;
    this.frame.hidden = true;
    this.state.textContent = item.status === "failed" ? item.error : this.queue.stateOf(item);
    this.state.lang = item.status === "failed" ? "en" : "";
    if (item.status !== "done") return;
    this.state.textContent = text("loading", { name: item.photo.result });
    const [before, after] = await Promise.all([photoOf(item), this.load(item.photo.href)]);
    if (this.shown !== look) return;
    this.told(item, before, after);
    if (!after) return;
    this.frame.hidden = false;
    this.viewer.show(before, after, after.naturalWidth, after.naturalHeight);
  }

  told(item, before, after) {
    const { width, height, bytes, result } = item.photo;
    const sides = text("pixels", { width: number(width), height: number(height), size: size(bytes) });
    const more = !after ? text("no_view", { name: result }) : !before ? text("no_before") : "";
    this.state.textContent = [`${sides}.`, more].join(" ").trim();
  }

  async load(href) {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(await (await ask(href)).blob());
    return loaded(this.url);
  }

  drawChoice(item) {
    this.choice.replaceChildren();
    if (item.status !== "done") return;
    this.choice.append(button("save", () => this.queue.saveOne(item), { label: text("save_name", { name: item.photo.result }) }));
    if (!item.kept) this.choice.append(button("keep", () => this.queue.keepIt(item)));
    if (item.file) {
      this.choice.append(button("undo", () => this.queue.again(item), { kind: "quiet" }));
      this.choice.append(make("span", { className: "hint", textContent: text("undo_hint") }));
    }
  }

  drawEnvelope(item) {
    this.envelope.replaceChildren();
    if (item.status !== "done") return;
    const kinds = ["kept", "changed", "dropped", "warnings"].filter((kind) => item.photo[kind].length);
    const lists = kinds.flatMap((kind) => [
      make("dt", { className: kind, textContent: text(kind) }),
      make("dd", { lang: "en" }, make("ul", {}, ...item.photo[kind].map((one) => make("li", { textContent: one })))),
    ]);
    const told = lists.length ? make("dl", {}, ...lists) : make("p", { className: "hint", textContent: text("envelope_none") });
    this.envelope.append(make("h3", { textContent: text("envelope") }), told);
  }
}

// An image of this address; null where this browser cannot show it.
export async function loaded(url) {
  const image = make("img", { alt: "", src: url, draggable: false });
  try {
    await image.decode();
    return image;
  } catch {
    return null;
  }
}
