// Talks with the server, and with nobody else.

import { text } from "./language.js";
import { find, make } from "./parts.js";

// The token comes behind the #, which no server gets to see, and stays in this tab.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", location.pathname);
}

export class ServerError extends Error {
  constructor(message, status, retryAfter) {
    super(message);
    Object.assign(this, { fromServer: true, status, retryAfter });
  }
}

let asking;

// All requests that were refused wait for one dialog.
function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = find("token-dialog");
    dialog.addEventListener("close", () => {
      if (find("token").value) sessionStorage.setItem("token", find("token").value);
      find("token").value = "";
      asking = undefined;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

// A response, which is no error.
export async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError(text("no_server"), 0);
  }
  if (answer.status === 401) {
    await askForToken();
    return ask(path, options);
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({ detail: answer.statusText || String(answer.status) }));
  throw new ServerError(problem.detail, answer.status, Number(answer.headers.get("Retry-After")) || 0);
}

export const get = async (path, options) => (await ask(path, options)).json();

// Sends a form; sent again with the same key it makes no second job.
export async function post(path, fields, key, options = {}) {
  const body = new FormData();
  for (const [name, value] of fields) {
    if (value instanceof File) body.append(name, value, value.name);
    else body.append(name, value);
  }
  return (await ask(path, { ...options, method: "POST", body, headers: { "Idempotency-Key": key } })).json();
}

// Cancels what waits or runs, and forgets it.
export async function forget(href, options = {}) {
  try {
    const answer = await ask(href, { ...options, method: "DELETE" });
    if (answer.status === 202) await ask(href, { ...options, method: "DELETE" });
  } catch (error) {
    if (error.status !== 404) throw error;
  }
}

// A name that no other request has.
export const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

// The events of a job, one after the other: [kind, content].
export async function* events(job, signal) {
  const reader = (await ask(job.events, { signal })).body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const parts = held.split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      const match = /^event: (\w+)\ndata: (.*)$/.exec(part);
      if (match) yield [match[1], JSON.parse(match[2])];
    }
  }
}

// Lets the browser save what the server gives.
export async function save(path, name) {
  const url = URL.createObjectURL(await (await ask(path)).blob());
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}
