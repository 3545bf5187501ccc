// Sends photos, shows how far they are, and saves results. Whatever comes from outside is text, never HTML.

const find = (id) => document.getElementById(id);
const message = (text) => { find("message").textContent = text; };

// The token comes behind the #, which no server gets to see, and stays in this tab.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", location.pathname);
}

async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) {
    const entered = prompt("Token of this server");
    if (entered) {
      sessionStorage.setItem("token", entered);
      return ask(path, options);
    }
  }
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer;
}

async function save(path, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await (await ask(path)).blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function button(text, work) {
  const made = document.createElement("button");
  made.textContent = text;
  made.addEventListener("click", () => work().catch((error) => message(error.message)));
  return made;
}

const shown = new Map();
const OVER = ["done", "failed", "cancelled"];

function show(job) {
  const line = shown.get(job.id) ?? document.createElement("li");
  if (!shown.has(job.id)) find("jobs").prepend(line);
  shown.set(job.id, line);
  const names = job.photos.map((photo) => photo.name).join(", ");
  const text = document.createElement("div");
  text.textContent = `${names}: ${job.status}`;
  const parts = [text];
  for (const photo of job.photos) {
    if (photo.status === "done") parts.push(button(`Save ${photo.result}`, () => save(photo.href, photo.result)));
    if (photo.error) parts.push(Object.assign(document.createElement("div"), { textContent: photo.error }));
  }
  if (!OVER.includes(job.status)) {
    parts.push(Object.assign(document.createElement("progress"), { max: 1, value: 0 }));
    parts.push(button("Cancel", () => ask(job.href, { method: "DELETE" })));
  } else if (job.photos.filter((photo) => photo.status === "done").length > 1) {
    parts.push(button("Save all", () => save(job.archive, `blindsr-${job.id.slice(0, 8)}.zip`)));
  }
  line.replaceChildren(...parts);
  return line;
}

function told(job, kind, content) {
  if (["running", ...OVER].includes(kind)) return show(content);
  const line = shown.get(job.id);
  if (kind === "queued") line.firstChild.textContent = `${job.photos[0].name}: waiting, ${content.place} before it`;
  if (kind === "tile") {
    line.firstChild.textContent = `${content.name}: tile ${content.done} of ${content.total}`;
    const bar = line.querySelector("progress");
    if (bar) bar.value = (content.n + content.done / content.total) / job.photos.length;
  }
  return line;
}

async function follow(job) {
  show(job);
  while (!OVER.includes(job.status)) {
    const reader = (await ask(job.events)).body.pipeThrough(new TextDecoderStream()).getReader();
    let held = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      held += value;
      const events = held.split("\n\n");
      held = events.pop();
      for (const event of events) {
        const match = /^event: (\w+)\ndata: (.*)$/.exec(event);
        if (match) told(job, match[1], JSON.parse(match[2]));
      }
    }
    job = await (await ask(job.href)).json();
    show(job);
  }
}

find("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    message("Sending");
    const key = { "Idempotency-Key": crypto.getRandomValues(new Uint32Array(4)).join("-") };
    const body = new FormData(event.target);
    const job = await (await ask("v1/jobs", { method: "POST", body, headers: key })).json();
    message("");
    await follow(job);
  } catch (error) {
    message(error.message);
  }
});

async function begin() {
  for (const model of (await (await ask("v1/models")).json()).models) {
    const option = new Option(`${model.name} (x${model.scale})`, model.name, model.default, model.default);
    find("model").append(option);
  }
  for (const job of (await (await ask("v1/jobs")).json()).jobs.reverse()) follow(job).catch((error) => message(error.message));
}

begin().catch((error) => message(error.message));
