// Follows jobs to their ends: two by their events, as browsers have few connections to a server, and the
// others by asking now and then.

import { events, get } from "./api.js";
import { say } from "./parts.js";

const STREAMS = 2;
const PAUSE = 1500; // milliseconds

export const OVER = ["done", "failed", "cancelled", "gone"];
export const isActive = (item) => item.id && !OVER.includes(item.status);

export class Follower {
  // `items` gives all of them; `changed` is called with one that has changed.
  constructor(items, changed) {
    Object.assign(this, { items, changed, followed: new Set(), runs: false });
  }

  // There is something to follow.
  wake() {
    if (!this.runs) this.run();
  }

  async run() {
    this.runs = true;
    while (this.items().some(isActive)) {
      for (const item of this.items().filter(isActive).slice(0, STREAMS)) this.listen(item);
      await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
      if (this.items().some((item) => isActive(item) && !this.followed.has(item))) await this.look();
    }
    this.runs = false;
  }

  async listen(item) {
    if (this.followed.has(item)) return;
    this.followed.add(item);
    try {
      for await (const [kind, content] of events(item)) {
        if (item.forgotten || item.status === "cancelled") return;
        if (kind === "queued") Object.assign(item, { status: "queued", place: content.place });
        else if (kind === "tile") tile(item, content);
        else if (kind !== "photo" && content.photos) take(item, content);
        this.changed(item);
      }
      take(item, await get(item.href));
    } catch (error) {
      this.lost(item, error);
    } finally {
      this.followed.delete(item);
      this.changed(item);
    }
  }

  async look() {
    try {
      const jobs = new Map((await get("v1/jobs")).jobs.map((job) => [job.id, job]));
      for (const item of this.items()) {
        if (!isActive(item) || this.followed.has(item) || !jobs.has(item.id)) continue;
        take(item, jobs.get(item.id));
        this.changed(item);
      }
    } catch (error) {
      say(error.message);
    }
  }

  lost(item, error) {
    if (error.status === 404) item.status = item.status === "cancelled" ? "cancelled" : "gone";
    else say(error.message);
  }
}

function tile(item, { done, total }) {
  item.status = "running";
  item.tiles ??= { first: done, since: performance.now() };
  Object.assign(item.tiles, { done, total });
}

// What the server says of a job of one photo.
export function take(item, job) {
  const [photo] = job.photos;
  Object.assign(item, {
    id: job.id, href: job.href, events: job.events, place: job.place, status: job.status,
    options: job.options, photo, name: item.name ?? photo.name, error: photo.error,
  });
}

// Seconds that photos in work still take: by the tiles of each, else by how long others took.
export function secondsLeft(items) {
  const ended = items.filter((item) => item.status === "done" && item.photo?.seconds);
  const pixels = ended.reduce((sum, item) => sum + item.photo.pixels, 0);
  const rate = pixels ? ended.reduce((sum, item) => sum + item.photo.seconds, 0) / pixels : null;
  return (item) => {
    const { tiles } = item;
    if (tiles && tiles.done > tiles.first) {
      const each = (performance.now() - tiles.since) / 1000 / (tiles.done - tiles.first);
      return each * (tiles.total - tiles.done);
    }
    return rate === null || !item.photo ? null : rate * item.photo.pixels * (1 - share(item));
  };
}

export const share = (item) => (item.tiles ? item.tiles.done / item.tiles.total : 0);
