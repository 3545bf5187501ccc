// "My camera": what photos of one camera share, read once by the server. It keeps the profiles; their names
// are this browser's.

import { forget, get, newKey, post } from "./api.js";
import { counted, date, text } from "./language.js";
import { recall, remember } from "./memory.js";
import { button, fail, find, make, say } from "./parts.js";
import { offerCameras } from "./settings.js";

const PAUSE = 1000; // milliseconds between two looks at one that is being read

let profiles = [];

const nameOf = (profile) => recall("cameras", {})[profile.id] ?? text("camera_unnamed", { date: date(profile.created) });

export async function beginCameras() {
  find("camera-form").addEventListener("submit", (event) => {
    event.preventDefault();
    read(find("camera-name").value.trim(), [...find("camera-files").files]).catch(fail);
  });
  await look();
}

// Asks for the profiles, again and again while one of them is being read.
async function look() {
  const before = new Map(profiles.map((one) => [one.id, one.status]));
  ({ profiles } = await get("v1/profiles"));
  for (const one of profiles) {
    if (one.status === "done" && before.has(one.id) && before.get(one.id) !== "done") {
      say(text("camera_ready", { name: nameOf(one) }));
    }
  }
  drawCameras();
  if (profiles.some((one) => ["queued", "running"].includes(one.status))) setTimeout(() => look().catch(fail), PAUSE);
}

async function read(name, files) {
  const profile = await post("v1/profiles", files.map((file) => ["files", file]), newKey());
  remember("cameras", { ...recall("cameras", {}), [profile.id]: name });
  find("camera-form").reset();
  say(text("camera_reading", { name }));
  await look();
}

export function drawCameras() {
  find("cameras").replaceChildren(...profiles.map((one) => {
    const name = nameOf(one);
    const state = one.status === "done" ? counted("camera_done", one.read.length)
      : one.status === "failed" ? text("camera_failed") : text("camera_reading", { name });
    return make("li", {},
      make("span", { className: "about" }, make("span", { className: "name", textContent: name, dir: "auto" }),
        make("span", { className: "state", textContent: state })),
      button("camera_delete_short", () => drop(one), { kind: "quiet", label: text("camera_delete", { name }) }),
      ...[one.error, ...one.errors].filter(Boolean).map((error) => make("p", { className: "problem", lang: "en", textContent: error })));
  }));
  offerCameras(profiles, nameOf);
}

async function drop(profile) {
  await forget(profile.href);
  const names = recall("cameras", {});
  delete names[profile.id];
  remember("cameras", names);
  find("camera-name").focus();
  await look();
}
