// The front end of Notes: the same for each pattern. What differs is in the client: where the tokens are.

import { SignedOut } from "/client.js";
import { api, client, pattern } from "/page.js";

const byId = (id) => document.getElementById(id);
const notes = new Map();
const ENDED = "Your session has ended. Sign in to go on.";
// Why a session ended, in the words of the authority's page of sessions.
const REASONS = {
  signed_out: "You signed out.",
  logged_out_by_provider: "You signed out.",
  signed_in_again: "Another user signed in with this browser.",
  revoked_by_user: "You ended it on the page of your sessions.",
  revoked_by_app: "You signed out in the app.",
  revoked_by_operator: "An administrator ended it.",
  reuse: "It was used from two places at once. Have a look at your sessions.",
  superseded: "You opened the app again in this browser.",
  password_changed: "Your password was changed.",
  account_closed: "You closed your account.",
  factors_reset: "An administrator removed your passkeys and your authenticator app.",
  user_disabled: "Your account was disabled.",
  client_disabled: "The app was disabled.",
  client_changed: "The app may not stay signed in any more.",
};
let next = null;
let user = null;

async function call(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  if (options.body) headers["Content-Type"] = "application/json";
  const answer = await client.fetch(api + path, { ...options, headers, cache: "no-store" });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail || "That did not work. Please try again.");
  }
  return answer.status === 204 ? null : answer.json();
}

function show(signedIn, why) {
  byId("signed-in").hidden = !signedIn;
  byId("person").hidden = !signedIn;
  byId("signed-out").hidden = signedIn;
  if (why) byId("why").textContent = why;
}

function leave(why) {
  stream?.abort();
  notes.clear();
  render();
  show(false, why);
}

// What was being written when the session ended comes back when the same user signs in again in this tab.
function keepDraft() {
  const text = byId("text").value;
  if (text && user) sessionStorage.setItem("draft", JSON.stringify({ user, text }));
}

function restoreDraft() {
  const draft = JSON.parse(sessionStorage.getItem("draft") ?? "{}");
  sessionStorage.removeItem("draft");
  if (draft.user === user && !byId("text").value) byId("text").value = draft.text;
}

function notice(text) {
  byId("notice").textContent = text || "";
  byId("notice").hidden = !text;
}

// Runs something that talks to the backend, and says what went wrong in words.
async function attempt(work) {
  try {
    notice("");
    return await work();
  } catch (error) {
    if (error instanceof SignedOut) leave(ENDED);
    else {
      notice(["TypeError", "TimeoutError"].includes(error.name) ? "You seem to be offline. Nothing was lost; please try again." : error.message);
    }
    return undefined;
  }
}

// What has not changed stays as it is: what the user is reading, selecting or editing is not taken away.
function render() {
  const list = byId("notes");
  const shown = new Map([...list.children].map((li) => [li.dataset.id, li]));
  const sorted = [...notes.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  const wanted = sorted.map((note) => {
    const li = shown.get(note.id);
    const keep = li && (li.dataset.version === String(note.version) || li.querySelector(".editing"));
    return keep ? li : item(note);
  });
  for (const li of shown.values()) if (!wanted.includes(li)) li.remove();
  wanted.forEach((li, at) => {
    if (list.children[at] !== li) list.insertBefore(li, list.children[at] ?? null);
  });
  byId("empty").hidden = notes.size > 0;
  byId("more").hidden = !next;
}

function item(note) {
  const li = byId("note").content.cloneNode(true).firstElementChild;
  li.dataset.id = note.id;
  li.dataset.version = note.version;
  li.querySelector(".text").textContent = note.text;
  const time = li.querySelector("time");
  time.dateTime = note.updated_at;
  time.textContent = new Date(note.updated_at).toLocaleString();
  li.querySelector(".edit").addEventListener("click", () => edit(li, note));
  li.querySelector(".delete").addEventListener("click", () => remove(note));
  return li;
}

function edit(li, note) {
  const form = byId("editor").content.cloneNode(true).firstElementChild;
  const area = form.querySelector("textarea");
  area.id = `edit-${note.id}`;
  form.querySelector("label").htmlFor = area.id;
  area.value = note.text;
  form.querySelector(".cancel").addEventListener("click", () => li.replaceWith(item(notes.get(note.id) ?? note)));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const saved = await attempt(() => call(`/${note.id}`, {
      method: "PUT",
      headers: { "If-Match": `"${note.version}"` },
      body: JSON.stringify({ text: area.value }),
    }));
    if (!saved) return;
    notes.set(saved.id, saved);
    li.replaceWith(item(saved));
  });
  li.replaceChildren(form);
  area.focus();
}

async function remove(note) {
  const gone = await attempt(async () => {
    await call(`/${note.id}`, { method: "DELETE" });
    return true;
  });
  if (!gone) return;
  notes.delete(note.id);
  render();
  byId("text").focus();
  const undo = Object.assign(document.createElement("button"), { type: "button", textContent: "Undo", className: "quiet" });
  undo.addEventListener("click", () => attempt(async () => {
    const again = await call("", { method: "POST", body: JSON.stringify({ text: note.text }) });
    notes.set(again.id, again);
    render();
  }));
  notice("Deleted. ");
  byId("notice").append(undo);
}

async function load(before) {
  const page = await call(before ? `?before=${before}` : "");
  if (!before) notes.clear(); // what is older than this page comes back with "Older notes"
  for (const note of page.notes) notes.set(note.id, note);
  next = page.next;
  render();
}

let stream = null;
const news = new BroadcastChannel(`${pattern}-notes`);
news.onmessage = () => byId("signed-in").hidden || attempt(() => load());

// News of changes made elsewhere, for all tabs by one stream: a browser has few connections to one server.
function follow() {
  stream?.abort();
  stream = new AbortController();
  const { signal } = stream;
  if (!navigator.locks) return read(signal);
  return navigator.locks.request(`${pattern}-notes`, { signal }, () => read(signal)).catch(() => {});
}

async function read(signal) {
  for (let pause = 1000; !signal.aborted; pause = Math.min(pause * 2, 30000)) {
    try {
      const answer = await client.fetch(`${api}/stream`, { headers: { Accept: "text/event-stream" }, signal, cache: "no-store" });
      if (answer.ok) {
        pause = 500;
        await load();
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let text = ""; ;) {
          const { value, done } = await reader.read();
          if (done) break;
          text += value;
          const events = text.split("\n\n");
          text = events.pop();
          if (events.some((event) => /^event: (added|changed|removed|reset)/m.test(event))) {
            news.postMessage("changed");
            await load();
          }
        }
      }
    } catch (error) {
      if (error instanceof SignedOut) return leave(ENDED);
    }
    if (!signal.aborted) await new Promise((resume) => setTimeout(resume, pause));
  }
  return undefined;
}

byId("new").addEventListener("submit", async (event) => {
  event.preventDefault();
  const area = byId("text");
  const button = event.target.querySelector("button");
  button.disabled = true;
  const added = await attempt(() => call("", { method: "POST", body: JSON.stringify({ text: area.value }) }));
  button.disabled = false;
  if (!added) return;
  area.value = "";
  notes.set(added.id, added);
  render();
});

byId("more").addEventListener("click", () => attempt(() => load(next)));

const signOut = (everywhere) => attempt(async () => {
  byId("text").value = "";
  await client.signOut({ everywhere });
  leave("You are signed out of Notes.");
});
byId("sign-out").addEventListener("click", () => signOut(false));
byId("sign-out-all").addEventListener("click", () => signOut(true));

// The session has ended elsewhere, another tab has signed out, or another user has signed in there.
client.onChange((change, reason) => {
  if (change === "changed") return start();
  keepDraft();
  if (change === "ended") return leave(REASONS[reason] ? `Your session has ended. ${REASONS[reason]}` : ENDED);
  return leave("You are signed out of Notes.");
});

// What holds something open keeps a page out of the back/forward cache; what comes back from it may be over.
window.addEventListener("pagehide", () => stream?.abort());
window.addEventListener("pageshow", (event) => {
  if (event.persisted) start();
});

async function start() {
  byId("pattern").textContent = { bff: "backend for frontend", tmb: "token-mediating backend", spa: "refresh cookie" }[pattern];
  try {
    const person = await client.session();
    if (!person) return show(false, "Sign in to see your notes.");
    user = person.sub;
    byId("name").textContent = person.name || person.email || "";
    restoreDraft();
    show(true);
    await attempt(() => load());
    follow();
  } catch {
    show(true);
    notice("The server cannot be reached. Please try again in a moment.");
  }
  return undefined;
}

start();
