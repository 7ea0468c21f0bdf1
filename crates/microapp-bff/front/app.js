// The front end of Notes. It holds no token: the session cookie is HttpOnly, and the backend adds the token.

const byId = (id) => document.getElementById(id);
const notes = new Map();
let next = null;

class SignedOut extends Error {}

// Every call carries a header that other sites cannot send. 401 means that the session is over.
async function call(path, options = {}) {
  const headers = { "X-CSRF": "1", Accept: "application/json", ...options.headers };
  if (options.body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  if (answer.status === 401) throw new SignedOut();
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
    if (error instanceof SignedOut) {
      stream?.abort();
      notes.clear();
      render();
      show(false, "Your session has ended. Sign in to go on.");
    } else {
      notice(error instanceof TypeError ? "You seem to be offline. Nothing was lost; please try again." : error.message);
    }
    return undefined;
  }
}

// What has not changed stays as it is: what somebody is reading, selecting or editing is not taken away.
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
    const saved = await attempt(() => call(`/api/notes/${note.id}`, {
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
    await call(`/api/notes/${note.id}`, { method: "DELETE" });
    return true;
  });
  if (!gone) return;
  notes.delete(note.id);
  render();
}

async function load(before) {
  const page = await call(`/api/notes${before ? `?before=${before}` : ""}`);
  if (!before) notes.clear(); // what is older than this page comes back with "Older notes"
  for (const note of page.notes) notes.set(note.id, note);
  next = page.next;
  render();
}

let stream = null;

// News of changes made elsewhere: a stream that is read with fetch, because EventSource sends no header.
async function follow() {
  for (let pause = 1000; !byId("signed-in").hidden; pause = Math.min(pause * 2, 30000)) {
    stream = new AbortController();
    try {
      const headers = { "X-CSRF": "1", Accept: "text/event-stream" };
      const answer = await fetch("/api/notes/stream", { headers, signal: stream.signal, cache: "no-store" });
      if (answer.status === 401) throw new SignedOut();
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
          if (events.some((event) => /^event: (added|changed|removed|reset)/m.test(event))) await load();
        }
      }
    } catch (error) {
      if (error instanceof SignedOut) return attempt(() => { throw error; });
    }
    if (stream.signal.aborted) return undefined;
    await new Promise((resume) => setTimeout(resume, pause));
  }
  return undefined;
}

byId("new").addEventListener("submit", async (event) => {
  event.preventDefault();
  const area = byId("text");
  const button = event.target.querySelector("button");
  button.disabled = true;
  const added = await attempt(() => call("/api/notes", { method: "POST", body: JSON.stringify({ text: area.value }) }));
  button.disabled = false;
  if (!added) return;
  area.value = "";
  notes.set(added.id, added);
  render();
});

byId("more").addEventListener("click", () => attempt(() => load(next)));

byId("sign-out").addEventListener("click", async () => {
  const done = await attempt(() => call("/auth/logout", { method: "POST" }));
  if (!done) return;
  stream?.abort();
  notes.clear();
  render();
  show(false, "You are signed out of Notes.");
});

// A page that comes back from the back/forward cache may be about a session that is over.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) start();
});

async function start() {
  try {
    const person = await call("/auth/me");
    byId("name").textContent = person.name || person.email || "";
    show(true);
    await attempt(() => load());
    follow();
  } catch (error) {
    if (error instanceof SignedOut) show(false, "Sign in to see your notes.");
    else {
      show(true);
      notice("The server cannot be reached. Please try again in a moment.");
    }
  }
}

start();
