// The client in Node: several "tabs" are several clients in one process, which share locks, channel and storage.
import assert from "node:assert/strict";
import { after, afterEach, beforeEach, mock, test } from "node:test";
import axios from "axios";
import { axiosAdapter } from "../axios.js";

const HOME = "https://app.example";
const API = "https://api.example/notes";
const page = new EventTarget();
globalThis.location = new URL(`${HOME}/page`);
globalThis.addEventListener = (...args) => page.addEventListener(...args);
globalThis.removeEventListener = (...args) => page.removeEventListener(...args);

/** Web Locks, as far as the client uses them. */
class Locks {
  held = [];
  async request(name, options, work = options) {
    const shared = options.mode === "shared";
    while (this.held.some((lock) => lock.name === name && !(shared && lock.shared))) {
      if (options.signal?.aborted) throw options.signal.reason;
      await new Promise((resume) => setTimeout(resume, 1));
    }
    options.signal?.throwIfAborted();
    const lock = { name, shared };
    this.held.push(lock);
    try {
      return await work();
    } finally {
      this.held.splice(this.held.indexOf(lock), 1);
    }
  }
  query = async () => ({ held: [...this.held] });
}

class Storage {
  values = new Map();
  getItem = (key) => this.values.get(key) ?? null;
  setItem(key, value) {
    written.push(value);
    this.values.set(key, String(value));
  }
  removeItem = (key) => this.values.delete(key);
}

/** Server-sent events, as far as the client uses them. */
class EventSource extends EventTarget {
  static CLOSED = 2;
  readyState = 1;
  constructor(url) {
    super();
    this.url = String(url);
    streams.push(this);
  }
  close() {
    this.readyState = 2;
    streams.splice(streams.indexOf(this), 1);
  }
  tell(type, data = {}) {
    this.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(data) }));
  }
}

let streams, clients, calls, written, backend, skew, createClient;
const realNow = Date.now;
const json = (body, status = 200) => new Response(JSON.stringify(body), { status });
const requestsOf = (path) => calls.filter((call) => new URL(call.url).pathname === path);
const settle = (ms = 30) => new Promise((resume) => setTimeout(resume, ms));

/** A backend and an API that do what theirs do; a test changes parts of it. */
function goodBackend() {
  let issued = 0;
  const fresh = () => ({ access_token: `at-${++issued}`, expires_in: 10, expires_at: "2001-01-01T00:00:00Z" });
  const user = { sub: "ann", name: "Ann" };
  return {
    "/auth/me": () => json({ ...user, csrf_token: "csrf-1" }),
    "/auth/session": () => json({ logged_in: true, user, ...fresh() }),
    "/auth/token": () => json(fresh()),
    "/auth/refresh": () => json(fresh()),
    "/auth/logout": () => json({ signed_out: true, logout_url: "https://aa.example/oauth/logout" }),
    "/notes": () => json([]),
    "/api/notes": () => json([]),
    "/other": () => json([]),
  };
}

beforeEach(async () => {
  ({ createClient } = await import("../client.js?fresh"));
  [streams, clients, calls, written, skew] = [[], [], [], [], 0];
  globalThis.EventSource = EventSource;
  backend = goodBackend();
  Date.now = () => realNow() + skew;
  Object.defineProperty(globalThis, "navigator", { value: { locks: new Locks() }, configurable: true, writable: true });
  globalThis.localStorage = new Storage();
  globalThis.fetch = async (input, init) => {
    const request = new Request(input, init);
    const call = { url: request.url, method: request.method, headers: request.headers };
    calls.push(call);
    call.body = request.body ? await request.text() : undefined;
    const answer = backend[new URL(request.url).pathname](call);
    // A network that can be aborted.
    return Promise.race([
      answer,
      new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason))),
    ]);
  };
});
afterEach(() => clients.forEach((client) => client.close()));
after(() => (Date.now = realNow));

function tab(pattern, more) {
  const events = [];
  const client = createClient({ pattern, apis: [API], ...more });
  client.onChange((change, reason) => events.push(reason ? `${change}: ${reason}` : change));
  clients.push(client);
  return Object.assign(client, { events });
}
const tabs = (count, pattern, more) => Array.from({ length: count }, () => tab(pattern, more));

test("BFF: our API gets the header, and nothing else gets anything", async () => {
  const client = tab("bff");
  await client.fetch("/api/notes", { method: "POST", body: "{}" });
  await client.fetch("/other");
  await client.fetch("https://evil.example/api/notes");
  const [ours, other, evil] = calls;
  assert.equal(ours.headers.get("x-csrf"), "1");
  assert.equal(other.headers.get("x-csrf"), null);
  assert.equal(evil.headers.get("x-csrf"), null);
  assert.equal((await client.session()).name, "Ann");
});

test("BFF: 401 means signed out, in every tab", async () => {
  const [one, two] = tabs(2, "bff");
  await Promise.all([one.session(), two.session()]);
  backend["/api/notes"] = () => json({ error: "session_expired" }, 401);
  await assert.rejects(one.fetch("/api/notes"), { name: "SignedOut" });
  await settle();
  assert.deepEqual([one.events, two.events], [["signed_out"], ["signed_out"]]);
});

for (const [pattern, path] of [["tmb", "/auth/token"], ["spa", "/auth/refresh"]]) {
  for (const locks of [true, false]) {
    test(`${pattern}: ten tabs refresh once for each life of a token${locks ? "" : ", without Web Locks too"}`, async () => {
      if (!locks) globalThis.navigator.locks = undefined;
      const all = tabs(10, pattern);
      for (let round = 1; round <= 3; round++) {
        await Promise.all(all.flatMap((client) => [client.fetch(API), client.fetch(`${API}/1`)]).map((call) => call.catch(() => {})));
        assert.equal(requestsOf(path).length, round);
        skew += 11_000;
      }
      const used = new Set(requestsOf("/notes").map((call) => call.headers.get("authorization")));
      assert.deepEqual([...used], ["Bearer at-1", "Bearer at-2", "Bearer at-3"]);
      assert.ok(!written.some((value) => /at-/.test(value)), "no token is written down");
    });
  }

  test(`${pattern}: a token goes to the listed APIs alone`, async () => {
    const client = tab(pattern);
    for (const url of ["https://api.example/notesx", "https://api.example/", "https://api.example.evil/notes", "/notes"]) {
      backend[new URL(url, HOME).pathname] ??= () => json([]);
      await client.fetch(url);
    }
    assert.ok(calls.every((call) => !call.headers.has("authorization")));
    await client.fetch(`${API}?a=b`);
    assert.equal(calls.at(-1).headers.get("authorization"), "Bearer at-1");
  });

  test(`${pattern}: a 401 of the API is answered with one more try`, async () => {
    const client = tab(pattern);
    backend["/notes"] = ({ headers }) => (headers.get("authorization") === "Bearer at-1" ? json({}, 401) : json(["ok"]));
    const answer = await client.fetch(API, { method: "POST", body: "{}" });
    assert.deepEqual(await answer.json(), ["ok"]);
    assert.deepEqual(requestsOf("/notes").map((call) => call.body), ["{}", "{}"]);
    assert.equal(requestsOf(path).at(-1).headers.get("authorization"), "Bearer at-1", "it says which one was refused");
    // A request object, too; and never more than once.
    backend["/notes"] = () => json({}, 401);
    assert.equal((await client.fetch(new Request(API, { method: "PUT", body: "x" }))).status, 401);
    assert.equal(requestsOf("/notes").length, 4);
    // A stream cannot be sent again.
    const stream = new Blob(["x"]).stream();
    assert.equal((await client.fetch(API, { method: "POST", body: stream, duplex: "half" })).status, 401);
    assert.equal(requestsOf("/notes").length, 5);
  });

  test(`${pattern}: offline is not signed out`, async () => {
    const client = tab(pattern);
    await client.fetch(API);
    const good = backend[path];
    backend[path] = () => Promise.reject(new TypeError("Failed to fetch"));
    skew += 8_500; // the next one is due, this one is still good
    await client.fetch(API);
    skew += 2_000;
    await assert.rejects(client.fetch(API), TypeError);
    backend[path] = () => json({}, 503);
    await assert.rejects(client.fetch(API), { status: 503 });
    assert.deepEqual(client.events, []);
    backend[path] = good;
    assert.equal((await client.fetch(API)).status, 200);
  });

  test(`${pattern}: a network that hangs is given up, and tried again`, async () => {
    const client = tab(pattern, { timeout: 50 });
    const good = backend[path];
    backend[path] = () => new Promise(() => {});
    await assert.rejects(client.fetch(API), { name: "TimeoutError" });
    backend[path] = good;
    assert.equal((await client.fetch(API)).status, 200);
  });

  test(`${pattern}: a clock that is wrong, or is set, does not matter`, async () => {
    skew = 3_600_000;
    const client = tab(pattern);
    await client.fetch(API);
    await client.fetch(API);
    assert.equal(requestsOf(path).length, 1);
    skew = 0; // set right, back by an hour: the age of the token is not known
    await client.fetch(API);
    assert.equal(requestsOf(path).length, 2);
  });

  test(`${pattern}: giving up one call gives up nothing else`, async () => {
    const client = tab(pattern);
    const good = backend[path];
    backend[path] = async () => (await settle(), good());
    const gone = new AbortController();
    const [one, two] = [client.fetch(API, { signal: gone.signal }), client.fetch(API)];
    setTimeout(() => gone.abort(), 5);
    await assert.rejects(one, { name: "AbortError" });
    assert.equal((await two).status, 200);
    assert.equal(requestsOf(path).length, 1);
  });

  test(`${pattern}: an ended session is told to every tab`, async () => {
    const [one, two] = tabs(2, pattern);
    await Promise.all([one.session(), two.session()]);
    await one.fetch(API);
    skew += 11_000;
    backend[path] = () => json({ error: "session_expired" }, 401);
    await assert.rejects(one.fetch(API), { name: "SignedOut" });
    await settle();
    assert.deepEqual([one.events, two.events], [["signed_out"], ["signed_out"]]);
  });

  test(`${pattern}: what comes back from the back/forward cache believes nothing`, async () => {
    const client = tab(pattern);
    await client.session();
    await client.fetch(API);
    page.dispatchEvent(new Event("pagehide"));
    await settle(5);
    assert.deepEqual(globalThis.navigator.locks.held, [], "nothing keeps the page out of the cache");
    backend["/auth/me"] = backend["/auth/session"] = backend[path] = () => json({ error: "not_signed_in" }, 401);
    page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    await settle();
    assert.deepEqual(client.events, ["signed_out"]);
    await assert.rejects(client.fetch(API), { name: "SignedOut" });
  });
}

for (const pattern of ["bff", "tmb", "spa"]) {
  test(`${pattern}: signing out in one tab signs out all`, async () => {
    const [one, two] = tabs(2, pattern);
    await Promise.all([one.session(), two.session()]);
    const good = backend["/auth/logout"];
    backend["/auth/logout"] = () => Promise.reject(new TypeError("Failed to fetch"));
    await assert.rejects(one.signOut(), TypeError, "who cannot be told has not signed out");
    await settle();
    assert.deepEqual([one.events, two.events], [[], []]);
    backend["/auth/logout"] = good;
    await one.signOut();
    await settle();
    assert.deepEqual([one.events, two.events], [["signed_out"], ["signed_out"]]);
    const { headers } = requestsOf("/auth/logout").at(-1);
    assert.deepEqual(
      [headers.get("x-csrf"), headers.get("x-csrf-token")],
      pattern === "spa" ? [null, "csrf-1"] : ["1", null],
    );
  });
}

for (const pattern of ["bff", "tmb", "spa"]) {
  test(`${pattern}: one stream for all tabs tells of the end, and why`, async () => {
    const all = tabs(3, pattern);
    await Promise.all(all.map((client) => client.session()));
    await settle();
    assert.deepEqual(streams.map((stream) => stream.url), [`${HOME}/auth/events`]);
    const [stream] = streams;
    // The tab that reads it is closed: another one takes its place.
    all[0].close();
    await settle();
    assert.equal(streams.length, 1);
    assert.notEqual(streams[0], stream);
    streams[0].tell("ended", { reason: "revoked_by_user" });
    await settle();
    assert.deepEqual(all.map((client) => client.events), [[], ["ended: revoked_by_user"], ["ended: revoked_by_user"]]);
    await Promise.all(all.slice(1).map((client) => client.signOut()));
    await settle();
    assert.equal(streams.length, 0);
  });
}

test("the reason is told even after a call has found that the session is over", async () => {
  const client = tab("bff");
  await client.session();
  backend["/api/notes"] = () => json({ error: "session_expired" }, 401);
  await assert.rejects(client.fetch("/api/notes"), { name: "SignedOut" });
  streams[0].tell("ended", { reason: "password_changed" });
  await settle();
  assert.deepEqual(client.events, ["signed_out", "ended: password_changed"]);
});

test("signing out is told as that by every tab, and no tab goes on to follow", async () => {
  const [one, two] = tabs(2, "spa");
  await Promise.all([one.session(), two.session()]);
  await settle();
  const [stream] = streams;
  backend["/auth/logout"] = async () => {
    // The backend ends the stream before it answers.
    stream.tell("ended", { reason: null });
    await settle(20);
    return json({ signed_out: true });
  };
  await one.signOut();
  await settle();
  assert.deepEqual([one.events, two.events, streams], [["signed_out"], ["signed_out"], []]);
});

test("an app that was opened again in the same browser goes on, if there is a session again", async () => {
  const client = tab("bff");
  await client.session();
  streams[0].tell("ended", { reason: "superseded" });
  await settle(1100);
  assert.deepEqual([client.events, streams.length], [[], 1]);
  backend["/auth/me"] = () => json({ error: "session_expired" }, 401);
  streams[0].tell("ended", { reason: "superseded" });
  await settle(1100);
  assert.deepEqual(client.events, ["signed_out", "ended: superseded"]);
});

test("a doubt is cleared by asking for a new token", async () => {
  const client = tab("spa");
  await client.session();
  await client.token();
  streams[0].tell("check");
  await settle();
  assert.equal(requestsOf("/auth/refresh").length, 2);
  assert.deepEqual(client.events, []);
});

test("another user in another tab is noticed", async () => {
  const [one, two] = tabs(2, "bff");
  await one.session();
  await settle();
  backend["/auth/me"] = () => json({ sub: "ben" });
  await two.session();
  await settle();
  assert.deepEqual([one.events, two.events], [["changed"], []]);
});

test("SPA: a CSRF token that another sign-in has replaced is fetched anew, once", async () => {
  const client = tab("spa");
  await client.session();
  backend["/auth/me"] = () => json({ sub: "ann", csrf_token: "csrf-2" });
  const good = backend["/auth/refresh"];
  backend["/auth/refresh"] = (call) => (call.headers.get("x-csrf-token") === "csrf-2" ? good() : json({}, 403));
  assert.equal(await client.token(), "at-1");
  backend["/auth/refresh"] = () => json({}, 403);
  skew += 11_000;
  await assert.rejects(client.token(), { status: 403 });
});

test("no user signed in is no error", async () => {
  backend["/auth/me"] = () => json({ error: "not_signed_in" }, 401);
  backend["/auth/session"] = () => json({ logged_in: false });
  for (const pattern of ["bff", "tmb", "spa"]) assert.equal(await tab(pattern).session(), null);
  await assert.rejects(tab("spa").token(), { name: "SignedOut" });
});

test("signing in leaves for the backend, and comes back to this page", () => {
  const assign = (globalThis.location.assign = mock.fn());
  tab("bff").signIn();
  assert.equal(String(assign.mock.calls[0].arguments[0]), `${HOME}/auth/login?return_to=%2Fpage`);
});

test("Axios goes through the client", async () => {
  const client = tab("tmb");
  const http = axios.create({ adapter: axiosAdapter(client, axios), baseURL: "https://api.example" });
  backend["/notes"] = ({ body, headers }) => json({ body, type: headers.get("content-type") }, 201);
  const { data, status } = await http.post("/notes", { text: "x" }, { params: { a: 1 } });
  assert.deepEqual([status, data], [201, { body: '{"text":"x"}', type: "application/json" }]);
  assert.equal(calls.at(-1).url, "https://api.example/notes?a=1");
  assert.equal(calls.at(-1).headers.get("authorization"), "Bearer at-1");
  backend["/notes"] = () => json({ detail: "no" }, 422);
  await assert.rejects(http.get("/notes"), (error) => axios.isAxiosError(error) && error.response.data.detail === "no");
  backend["/notes"] = () => new Promise(() => {});
  await assert.rejects(http.get("/notes", { timeout: 20 }), { code: "ECONNABORTED" });
  const gone = new AbortController();
  setTimeout(() => gone.abort(), 5);
  await assert.rejects(http.get("/notes", { signal: gone.signal }), (error) => axios.isCancel(error));
  backend["/notes"] = () => Promise.reject(new TypeError("Failed to fetch"));
  await assert.rejects(http.get("/notes"), { code: "ERR_NETWORK" });
});
