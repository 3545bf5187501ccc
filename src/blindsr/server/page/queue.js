// The photos of this page: those that are ready, those in work, and what became of them.

import { forget, newKey, post, save } from "./api.js";
import { Follower, isActive, OVER, secondsLeft, share, take } from "./follow.js";
import { counted, duration, text } from "./language.js";
import { dropOtherPhotos, dropPhoto, keepPhoto, keptPhoto, recall, remember } from "./memory.js";
import { brief, button, fail, find, make, say } from "./parts.js";

const MOST_ARCHIVED = 200; // jobs of one archive

export class Queue {
  // `chosen` is called with the photo that is to be worked on, or null; `changed` with one that has changed.
  constructor(chosen, changed) {
    Object.assign(this, { items: [], chosen, changed, selected: null, sends: false });
    this.follower = new Follower(() => this.items, (item) => this.draw(item));
    find("save-all").addEventListener("click", () => this.saveAll().catch(fail));
    find("clear-all").addEventListener("click", () => {
      for (const item of this.items.filter((one) => OVER.includes(one.status))) this.remove(item).catch(fail);
    });
  }

  add(files) {
    const added = [...files].map((file) => ({ key: newKey(), name: file.name, file, mask: null, status: "waiting" }));
    this.items.push(...added);
    for (const item of added) this.draw(item);
    if (added.length) {
      say(counted("added", added.length));
      this.select(added[0]);
    }
  }

  // The jobs that this browser has given before, as after a reload.
  async restore() {
    const known = recall("jobs", []);
    await dropOtherPhotos(known.map((one) => one.key));
    for (const one of known) {
      const kept = await keptPhoto(one.key);
      const item = { ...one, href: `v1/jobs/${one.id}`, events: `v1/jobs/${one.id}/events`,
        file: kept?.file ?? null, strokes: kept?.strokes, mask: null, status: "queued" };
      this.items.push(item);
      this.draw(item);
    }
    this.follower.wake();
  }

  get ready() {
    return this.items.filter((item) => item.status === "waiting");
  }

  select(item) {
    this.selected = item;
    for (const one of this.items) one.line?.classList.toggle("chosen", one === item);
    for (const one of this.items) one.opener?.setAttribute("aria-current", String(one === item));
    this.chosen(item);
  }

  // Sends what is ready, with these fields; `maskOf` gives a photo's mask as a file, or null.
  async start(fields, settings, maskOf) {
    for (const item of this.ready) {
      const mask = await maskOf(item);
      item.fields = [["files", item.file], ...fields, ...(mask ? [["mask", mask]] : [])];
      item.settings = settings;
      item.status = "sending";
      this.draw(item);
    }
    this.send();
  }

  // One after the other; a server that is full is asked again later.
  async send() {
    if (this.sends) return;
    this.sends = true;
    let item;
    while ((item = this.items.find((one) => one.status === "sending"))) {
      try {
        const job = await post("v1/jobs", item.fields, item.key);
        if (item.status === "cancelled" || item.forgotten) await forget(job.href);
        else await this.sent(item, job);
      } catch (error) {
        if (error.status === 0 && !(await canRead(item.file))) {
          Object.assign(item, { status: "failed", error: text("file_gone", { name: item.name }) });
        } else if (error.status === 429 || error.status === 0) await this.wait(item, error);
        else Object.assign(item, { status: "failed", error: error.message });
      }
      if (!item.forgotten) this.draw(item);
    }
    this.sends = false;
  }

  async sent(item, job) {
    take(item, job);
    this.keep();
    this.draw(item);
    this.follower.wake();
    await keepPhoto(item.key, { file: item.file, strokes: item.mask?.strokes ?? [] });
  }

  async wait(item, error) {
    const seconds = error.retryAfter || 3;
    item.later = error.status === 429 ? seconds : null;
    if (error.status === 0) say(error.message);
    this.draw(item);
    await new Promise((resolve) => { setTimeout(resolve, 1000 * seconds); });
    item.later = null;
  }

  async cancel(item) {
    const { id } = item;
    item.status = "cancelled";
    this.draw(item);
    if (id) await forget(item.href);
  }

  // The result is thrown away, or there was none: the photo is ready once more.
  async again(item) {
    if (item.id) await forget(item.href).catch(fail);
    await dropPhoto(item.key);
    const { line, name, file, mask, strokes, settings, corner } = item;
    const fresh = { key: newKey(), name, file, mask, strokes, settings, corner, status: "waiting" };
    item.forgotten = true;
    this.items.splice(this.items.indexOf(item), 1, fresh);
    this.draw(fresh);
    line.replaceWith(fresh.line);
    this.keep();
    this.select(fresh);
  }

  async remove(item) {
    const place = this.items.indexOf(item);
    item.forgotten = true;
    this.items.splice(place, 1);
    const hadFocus = item.line.contains(document.activeElement);
    item.line.remove();
    if (item.thumb) URL.revokeObjectURL(item.thumb);
    this.keep();
    if (item === this.selected) this.select(this.items[Math.min(place, this.items.length - 1)] ?? null);
    if (hadFocus) (this.items[Math.min(place, this.items.length - 1)]?.opener ?? find("queue-title")).focus();
    this.drawAll();
    await dropPhoto(item.key);
    if (item.id && item.status !== "gone") await forget(item.href);
  }

  keepIt(item) {
    item.kept = true;
    this.keep();
    this.draw(item);
    const next = this.items.find((one) => one.status === "done" && !one.kept);
    if (next) this.select(next);
    else this.changed(item);
  }

  // Remembers which jobs are this browser's own.
  keep() {
    remember("jobs", this.items.filter((item) => item.id)
      .map(({ key, id, name, kept, settings }) => ({ key, id, name, kept, settings })));
  }

  async saveAll() {
    const ids = this.items.filter((item) => item.status === "done").map((item) => item.id);
    for (let start = 0; start < ids.length; start += MOST_ARCHIVED) {
      const query = ids.slice(start, start + MOST_ARCHIVED).map((id) => `job=${id}`).join("&");
      say(text("saved", { name: "blindsr.zip" }));
      await save(`v1/archive?${query}`, "blindsr.zip");
    }
  }

  saveOne(item) {
    say(text("saved", { name: brief(item.photo.result) }));
    return save(item.photo.href, item.photo.result);
  }

  // --- how it looks ---

  draw(item) {
    if (item.forgotten) return;
    if (!item.line) this.build(item);
    const { status } = item;
    item.state.textContent = this.stateOf(item);
    item.state.className = `state ${status}`;
    const inWork = isActive(item) || status === "sending";
    item.bar.hidden = !inWork;
    if (status === "running" && item.tiles) item.bar.value = share(item);
    else item.bar.removeAttribute("value");
    item.problem.textContent = status === "failed" ? item.error ?? "" : "";
    const look = `${status} ${item.kept}`;
    if (item.drawn !== look) {
      if (status === "done" && item.drawn && !item.drawn.startsWith("done")) say(text("finished", { name: brief(item.name) }));
      item.drawn = look;
      this.drawActions(item);
      this.changed(item);
    }
    this.drawAll();
  }

  build(item) {
    item.image = make("img", { alt: "", className: "thumb", loading: "lazy" });
    if (item.file) {
      item.thumb = URL.createObjectURL(item.file);
      item.image.addEventListener("error", () => item.image.replaceWith(make("span", { className: "thumb" })));
      item.image.src = item.thumb;
    }
    item.title = make("span", { className: "name", textContent: item.name, dir: "auto" });
    item.state = make("span", { className: "state" });
    item.opener = make("button", { type: "button", className: "opener" }, item.image,
      make("span", { className: "about" }, item.title, item.state));
    item.opener.addEventListener("click", () => this.select(item));
    item.bar = make("progress", { max: 1 });
    item.problem = make("p", { className: "problem", lang: "en" });
    item.actions = make("div", { className: "row" });
    item.line = make("li", {}, item.opener, item.bar, item.problem, item.actions);
    item.bar.setAttribute("aria-label", text("progress", { name: item.name }));
    find("queue").append(item.line);
  }

  drawActions(item) {
    const { name, status } = item;
    const found = [];
    const offer = (key, work, more = { kind: "quiet" }) => found.push(
      button(key, work, { ...more, label: text(`${key}_name`, { name: key === "save" ? item.photo.result : name }) }));
    if (status === "done") offer("save", () => this.saveOne(item), {});
    if (isActive(item) || status === "sending") offer("cancel", () => this.cancel(item));
    if (["failed", "cancelled", "gone"].includes(status) && item.file) offer("again", () => this.again(item));
    if (status === "waiting" || OVER.includes(status)) offer("remove", () => this.remove(item), { kind: "quiet icon", sign: "×" });
    const hadFocus = item.actions.contains(document.activeElement);
    item.actions.replaceChildren(...found);
    if (hadFocus) found[0]?.focus();
  }

  stateOf(item) {
    const { status, place, photo } = item;
    if (status === "sending") return item.later ? text("later", { time: duration(item.later) }) : text("sending");
    if (status === "queued") return place ? counted("queued", place) : text("next");
    if (status === "running") {
      const left = this.left(item);
      return [item.tiles ? text("tile", item.tiles) : text("running"), ...(left === null ? [] : [text("left", { time: duration(left) })])].join(" · ");
    }
    if (status === "done") {
      return [text("done", { time: duration(photo?.seconds ?? 0) }), ...(item.kept ? [text("kept_result")] : [])].join(" · ");
    }
    return text(status);
  }

  left(item) {
    return secondsLeft(this.items)(item);
  }

  // What is said of all of them.
  drawAll() {
    const inWork = this.items.filter((item) => isActive(item) || item.status === "sending");
    const times = inWork.map((item) => this.left(item));
    const known = times.length && times.every((one) => one !== null);
    const time = duration(times.reduce((sum, one) => sum + one, 0));
    find("left").textContent = !inWork.length ? "" : known ? counted("all_left", inWork.length, { time }) : counted("all", inWork.length);
    find("empty").hidden = this.items.length > 0;
    const done = this.items.filter((item) => item.status === "done").length;
    find("save-all").hidden = done < 2;
    find("clear-all").hidden = !this.items.some((item) => OVER.includes(item.status));
    const ready = this.ready.length;
    find("start").disabled = !ready;
    find("start").textContent = ready ? counted("start", ready) : text("start_none");
  }

  // After another language was chosen.
  translate() {
    for (const item of this.items) {
      item.drawn = undefined;
      item.bar.setAttribute("aria-label", text("progress", { name: item.name }));
      this.draw(item);
    }
    this.drawAll();
  }
}

// Whether a file is still where it was chosen.
async function canRead(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
