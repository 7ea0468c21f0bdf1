// Proofs, nonces and keys. A "tab" is the module loaded once more: what tabs share is the database.
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { IDBFactory } from "fake-indexeddb";
import { createClient } from "../client.js";
import { sha256, verify } from "./authority.mjs";

const API = "https://api.example/notes";
const TOKEN = "https://aa.example/oauth/token";
const json = (body, status = 200, headers = {}) => new Response(JSON.stringify(body), { status, headers });
const claims = (proof) => JSON.parse(Buffer.from(proof.split(".")[1], "base64url"));
const useNonce = (nonce) =>
  json({}, 401, { "WWW-Authenticate": 'Bearer realm="x", DPoP error="use_dpop_nonce", algs="ES256"', "DPoP-Nonce": nonce });

let loaded = 0;
/** The module as a new tab loads it. */
const tab = async () => (await import(`../dpop.js?${++loaded}`)).createDpop;

let createDpop, calls, answers;
beforeEach(async () => {
  globalThis.indexedDB = new IDBFactory();
  globalThis.location = new URL("https://app.example/page?a=b");
  createDpop = await tab();
  calls = [];
  answers = [];
  mock.method(globalThis, "fetch", async (input, init) => {
    const request = new Request(input, init);
    const { url, method, headers, redirect } = request;
    const call = { url, method, redirect, body: await request.text(), proof: headers.get("dpop"), authorization: headers.get("authorization"), headers };
    calls.push(call);
    const answer = answers.length ? answers.shift() : json([]);
    return typeof answer === "function" ? answer(call) : answer;
  });
});
afterEach(() => mock.restoreAll());

test("a proof is what RFC 9449 asks for", async () => {
  const dpop = createDpop();
  const proof = await dpop.proof({ method: "GET", url: `${API}/1?a=b#c`, accessToken: "at-ü", nonce: "n" });
  assert.match(proof, /^[\w-]+\.[\w-]+\.[\w-]{86}$/);
  const found = await verify(proof, { method: "GET", url: `${API}/1`, accessToken: "at-ü", nonce: "n" });
  assert.equal(found.thumbprint, await dpop.thumbprint());
  // The claims that are not needed are not there, and no two proofs are alike.
  const [one, two] = await Promise.all([1, 2].map(() => dpop.proof({ method: "POST", url: new URL(TOKEN) })));
  await verify(one, { method: "POST", url: TOKEN });
  assert.deepEqual(Object.keys(claims(one)).sort(), ["htm", "htu", "iat", "jti"]);
  assert.notEqual(claims(one).jti, claims(two).jti);
  // A URL without an origin is the page's.
  assert.equal(claims(await dpop.proof({ method: "GET", url: "/x?y" })).htu, "https://app.example/x");
});

test("the check of proofs in these tests refuses what is wrong", async () => {
  const right = { method: "GET", url: API, accessToken: "at", nonce: "n" };
  const proof = await createDpop().proof(right);
  await verify(proof, right);
  for (const wrong of [{ method: "POST" }, { url: `${API}/` }, { accessToken: "other" }, { nonce: "m" }, { now: new Date(Date.now() + 70_000) }]) {
    await assert.rejects(verify(proof, { ...right, ...wrong }), JSON.stringify(wrong));
  }
  const [head, body, signature] = proof.split(".");
  const changed = Buffer.from(JSON.stringify({ ...claims(proof), htm: "POST" })).toString("base64url");
  await assert.rejects(verify(`${head}.${changed}.${signature}`, { ...right, method: "POST" }), /signature/);
  assert.ok(body);
});

test("the key is kept, cannot be read, and is one for each name", async () => {
  const thumbprint = await createDpop().thumbprint();
  assert.equal(await (await tab())().thumbprint(), thumbprint, "a page that is loaded later has it too");
  assert.notEqual(await createDpop({ name: "other" }).thumbprint(), thumbprint);
  const database = await new Promise((resolve) => {
    const opening = indexedDB.open("dpop");
    opening.onsuccess = () => resolve(opening.result);
  });
  const kept = await new Promise((resolve) => {
    const reading = database.transaction("keys").objectStore("keys").get("default");
    reading.onsuccess = () => resolve(reading.result);
  });
  assert.equal(kept.privateKey.extractable, false);
  assert.deepEqual(kept.privateKey.usages, ["sign"]);
  await assert.rejects(crypto.subtle.exportKey("jwk", kept.privateKey), { name: /^InvalidAccess/ });
  const { crv, kty, x, y } = await crypto.subtle.exportKey("jwk", kept.publicKey);
  assert.equal(thumbprint, sha256(JSON.stringify({ crv, kty, x, y })));
});

test("tabs that start at the same moment have one key", async () => {
  const makers = await Promise.all([1, 2, 3, 4, 5].map(tab));
  // No key is there before every tab has found that there is none.
  const generate = crypto.subtle.generateKey.bind(crypto.subtle);
  let waiting = [];
  mock.method(crypto.subtle, "generateKey", async (...args) => {
    await new Promise((resume) => {
      waiting.push(resume);
      if (waiting.length === makers.length) waiting.forEach((go) => go());
    });
    return generate(...args);
  });
  const thumbprints = await Promise.all(makers.map((make) => make().thumbprint()));
  assert.equal(waiting.length, 5, "each of them has made one");
  assert.equal(new Set(thumbprints).size, 1);
  assert.equal(await (await tab())().thumbprint(), thumbprints[0], "and it is the one that is kept");
});

test("without IndexedDB the key lives as long as the page", async () => {
  for (const broken of [undefined, { open: () => { throw new DOMException("no", "SecurityError"); } }]) {
    globalThis.indexedDB = broken;
    const dpop = createDpop();
    const thumbprint = await dpop.thumbprint();
    assert.equal((await verify(await dpop.proof({ method: "GET", url: API }), { method: "GET", url: API })).thumbprint, thumbprint);
    assert.notEqual(await createDpop().thumbprint(), thumbprint);
  }
});

test("a browser that does not store the key is one without IndexedDB", async () => {
  const { IDBObjectStore } = await import("fake-indexeddb");
  mock.method(IDBObjectStore.prototype, "put", function () {
    this.transaction.abort();
  });
  const dpop = createDpop();
  assert.equal(await dpop.thumbprint(), await dpop.thumbprint());
  assert.notEqual(await createDpop().thumbprint(), await dpop.thumbprint());
});

test("without WebCrypto it says why, and tries again", async () => {
  const dpop = createDpop();
  const real = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  Object.defineProperty(globalThis, "crypto", { value: {}, configurable: true });
  try {
    await assert.rejects(dpop.proof({ method: "GET", url: API }), { name: "TypeError", message: /https/ });
  } finally {
    Object.defineProperty(globalThis, "crypto", real);
  }
  assert.match(await dpop.thumbprint(), /^[\w-]{43}$/);
});

test("a request has the token and a proof of itself", async () => {
  const dpop = createDpop();
  await dpop.fetch(`${API}?a=b`, { method: "put", body: "x", headers: { "X-A": "1" } }, { accessToken: "at-1" });
  const [call] = calls;
  assert.deepEqual([call.authorization, call.headers.get("x-a"), call.body, call.redirect], ["DPoP at-1", "1", "x", "error"]);
  await verify(call.proof, { method: "PUT", url: API, accessToken: "at-1" });
  // A form to the token endpoint has no token.
  await dpop.fetch(new Request(TOKEN, { method: "POST", body: new URLSearchParams({ a: "b" }) }), { redirect: "follow" });
  assert.deepEqual([calls[1].authorization, calls[1].body, calls[1].redirect], [null, "a=b", "follow"]);
  await verify(calls[1].proof, { method: "POST", url: TOKEN });
});

for (const [where, ask] of [["an API", useNonce], ["the token endpoint", (nonce) => json({ error: "use_dpop_nonce" }, 400, { "DPoP-Nonce": nonce })]]) {
  test(`a nonce that ${where} asks for is sent, with the request once more`, async () => {
    const dpop = createDpop();
    answers = [ask("n-1")];
    assert.equal((await dpop.fetch(API, { method: "POST", body: "x" }, { accessToken: "at" })).status, 200);
    assert.deepEqual(calls.map(({ body, proof }) => [body, claims(proof).nonce]), [["x", undefined], ["x", "n-1"]]);
    assert.notEqual(claims(calls[0].proof).jti, claims(calls[1].proof).jti);
    // A request object has its body twice, too.
    answers = [ask("n-2")];
    assert.equal((await dpop.fetch(new Request(API, { method: "POST", body: "y" }))).status, 200);
    assert.deepEqual(calls.slice(2).map(({ body, proof }) => [body, claims(proof).nonce]), [["y", "n-1"], ["y", "n-2"]]);
    // Once and no more, and what it then says is the answer.
    answers = [ask("n-3"), ask("n-4"), ask("n-5")];
    assert.equal((await dpop.fetch(API)).headers.get("DPoP-Nonce"), "n-4");
    assert.equal(calls.length, 6);
  });
}

test("the newest nonce of each origin counts", async () => {
  const dpop = createDpop();
  answers = [json({}, 200, { "DPoP-Nonce": "n-1" }), json({}, 403, { "DPoP-Nonce": "n-2" }), json({}, 200, { "DPoP-Nonce": "m-1" })];
  await dpop.fetch(API);
  await dpop.fetch(`${API}/1`);
  await dpop.fetch(TOKEN);
  await dpop.fetch(API);
  await dpop.fetch(TOKEN);
  assert.deepEqual(calls.map(({ proof }) => claims(proof).nonce), [undefined, "n-1", undefined, "n-2", "m-1"]);
  assert.equal(claims(await dpop.proof({ method: "GET", url: API })).nonce, "n-2");
  assert.equal(claims(await dpop.proof({ method: "GET", url: API, nonce: "mine" })).nonce, "mine");
});

test("what is no question for a nonce is returned as it is", async () => {
  const dpop = createDpop();
  const invalid = 'DPoP error="invalid_token", error_description="use_dpop_nonce"';
  for (const answer of [
    json({ error: "invalid_request" }, 400, { "DPoP-Nonce": "n" }),
    new Response("use_dpop_nonce", { status: 400, headers: { "DPoP-Nonce": "n" } }),
    json({ error: "use_dpop_nonce" }, 400),
    json({ error: "use_dpop_nonce" }, 500, { "DPoP-Nonce": "n" }),
    json({}, 401, { "WWW-Authenticate": invalid, "DPoP-Nonce": "n" }),
    json({}, 401, { "WWW-Authenticate": 'Bearer error="use_dpop_nonce"', "DPoP-Nonce": "n" }),
    json({}, 401, { "DPoP-Nonce": "n" }),
  ]) {
    calls = [];
    answers = [answer];
    const given = await dpop.fetch(API);
    assert.equal(given, answer);
    assert.equal(calls.length, 1);
    assert.ok(await given.text(), "its body can still be read");
  }
});

test("a stream is not sent again", async () => {
  answers = [useNonce("n")];
  const body = new Blob(["x"]).stream();
  assert.equal((await createDpop().fetch(API, { method: "POST", body, duplex: "half" })).status, 401);
  assert.equal(calls.length, 1);
});

test("a clock that is wrong is put right by the server's Date", async () => {
  const dpop = createDpop();
  const serverNow = Date.now() + 3_600_000;
  const date = { Date: new Date(serverNow).toUTCString() };
  const check = async ({ proof }) => {
    try {
      await verify(proof, { method: "GET", url: API, now: new Date(serverNow) });
      return json([], 200, date);
    } catch {
      return json({}, 401, { ...date, "WWW-Authenticate": 'DPoP error="invalid_dpop_proof"' });
    }
  };
  answers = [check, check, check];
  assert.equal((await dpop.fetch(API)).status, 200);
  assert.equal((await dpop.fetch(API)).status, 200);
  assert.equal(calls.length, 3, "the second time it is right at once");
  // Another server's clock is another one.
  assert.ok(Math.abs(claims(await dpop.proof({ method: "GET", url: TOKEN })).iat - Date.now() / 1000) < 5);
  // A proof that is refused although the clocks agree is not made again.
  answers = [json({}, 401, { Date: new Date().toUTCString(), "WWW-Authenticate": 'DPoP error="invalid_dpop_proof"' })];
  assert.equal((await dpop.fetch(TOKEN)).status, 401);
  assert.equal(calls.length, 4);
});

test("giving up gives up", async () => {
  const signal = AbortSignal.abort(new DOMException("no more", "AbortError"));
  mock.method(globalThis, "fetch", async (request) => request.signal.throwIfAborted());
  await assert.rejects(createDpop().fetch(API, { signal }), { name: "AbortError" });
});

/** A backend that passes proofs on to an authority, and an API: both ask for nonces, and check what they get. */
function servers(pattern) {
  const nonces = { [new URL(TOKEN).origin]: "aa-1", [new URL(API).origin]: "api-1" };
  const seen = { refreshes: [], api: [], tokens: new Map() };
  const used = new Set();
  const check = async (call, method, url, accessToken) => {
    assert.ok(!used.has(call.proof), "a proof is used once");
    used.add(call.proof);
    const nonce = claims(call.proof).nonce;
    const found = await verify(call.proof, { method, url, accessToken, nonce });
    return { ...found, fresh: nonce === nonces[new URL(url).origin] };
  };
  const handlers = {
    "/auth/me": () => json({ sub: "ann", csrf_token: "c" }),
    "/auth/logout": () => json({ signed_out: true }),
    async token(call) {
      const { fresh, thumbprint } = await check(call, "POST", TOKEN);
      seen.refreshes.push(call);
      if (!fresh) return json({ error: "use_dpop_nonce" }, 400, { "DPoP-Nonce": nonces["https://aa.example"] });
      const token = `at-${seen.tokens.size + 1}`;
      seen.tokens.set(token, thumbprint);
      return json({ access_token: token, token_type: "DPoP", expires_in: 10, logged_in: true, user: { sub: "ann" } });
    },
    async "/notes"(call) {
      seen.api.push(call);
      const token = call.authorization.replace(/^DPoP /, "");
      const { fresh, thumbprint } = await check(call, call.method, API, token);
      assert.equal(thumbprint, seen.tokens.get(token), "the token is bound to the key that is proved");
      return fresh ? json([token]) : useNonce(nonces["https://api.example"]);
    },
  };
  handlers[pattern === "spa" ? "/auth/refresh" : "/auth/token"] = handlers["/auth/session"] = handlers.token;
  answers = { length: 1, shift: () => (call) => handlers[new URL(call.url).pathname](call) };
  return { ...seen, nonces, handlers };
}

for (const pattern of ["tmb", "spa"]) {
  const options = { pattern, apis: [API], tokenEndpoint: TOKEN };

  test(`${pattern}: refreshes are proved to the authority, and calls to the API`, async (t) => {
    const { refreshes, api, nonces } = servers(pattern);
    const client = createClient({ ...options, dpop: createDpop() });
    t.after(client.close);
    assert.deepEqual(await (await client.fetch(API, { method: "POST", body: "{}" })).json(), ["at-1"]);
    assert.deepEqual(refreshes.map(({ method }) => method), Array(2).fill(pattern === "spa" ? "POST" : "GET"));
    assert.deepEqual(api.map(({ authorization, body }) => [authorization, body]), Array(2).fill(["DPoP at-1", "{}"]));
    // Both nonces are known now, and change.
    await client.fetch(API);
    assert.deepEqual([refreshes.length, api.length], [2, 3]);
    nonces["https://api.example"] = "api-2";
    assert.equal((await client.fetch(API)).status, 200);
    assert.equal(api.length, 5);
    assert.equal(claims(api.at(-1).proof).nonce, "api-2");
  });

  test(`${pattern}: what is no API of ours, and no refresh, gets no proof`, async (t) => {
    const { handlers } = servers(pattern);
    handlers["/other"] = () => json([]);
    const client = createClient({ ...options, dpop: createDpop() });
    t.after(client.close);
    await client.session();
    await client.fetch("https://api.example/other");
    await client.signOut();
    const free = calls.filter(({ url }) => /other|me$|logout/.test(url));
    assert.equal(free.length, pattern === "spa" ? 3 : 2);
    assert.ok(free.every(({ proof, authorization }) => !proof && !authorization));
  });

  test(`${pattern}: a token that is refused is replaced, and the next one proved`, async (t) => {
    const { api, handlers, refreshes } = servers(pattern);
    const client = createClient({ ...options, dpop: createDpop() });
    t.after(client.close);
    const good = handlers["/notes"];
    handlers["/notes"] = (call) =>
      call.authorization === "DPoP at-1" ? json({}, 401, { "WWW-Authenticate": 'DPoP error="invalid_token"' }) : good(call);
    assert.deepEqual(await (await client.fetch(new Request(API, { method: "POST", body: "x" }))).json(), ["at-2"]);
    assert.deepEqual(api.map(({ body }) => body), ["x", "x"]);
    assert.equal(refreshes.at(-1).authorization, "Bearer at-1", "the backend is told which one was refused");
  });

  test(`${pattern}: tabs with one key share a token, tabs with two do not`, async (t) => {
    const { refreshes, tokens } = servers(pattern);
    const [one, two] = await Promise.all([tab(), tab()]);
    const client = (dpop) => createClient({ ...options, dpop });
    const pair = [client(one()), client(two())];
    t.after(() => pair.forEach(({ close }) => close()));
    await pair[0].fetch(API);
    assert.equal((await (await pair[1].fetch(API)).json())[0], "at-1");
    assert.equal(tokens.size, 1);
    const before = refreshes.length;
    // This page cannot use the database, so its key is another one.
    globalThis.indexedDB = undefined;
    const third = client((await tab())());
    t.after(third.close);
    assert.equal((await (await third.fetch(API)).json())[0], "at-2");
    assert.ok(refreshes.length > before);
    assert.equal((await (await pair[0].fetch(API)).json())[0], "at-1", "and the others keep theirs");
  });

  test(`${pattern}: a token that is not bound is not used`, async (t) => {
    const { handlers, api } = servers(pattern);
    const bearer = () => json({ access_token: "at", token_type: "Bearer", expires_in: 10, logged_in: true, user: { sub: "ann" } });
    handlers["/auth/token"] = handlers["/auth/refresh"] = handlers["/auth/session"] = bearer;
    const client = createClient({ ...options, dpop: createDpop() });
    t.after(client.close);
    assert.equal((await client.session()).sub, "ann");
    await assert.rejects(client.fetch(API), { name: "Error", message: /not bound/ });
    assert.equal(api.length, 0);
  });
}

test("a client with DPoP has to know the token endpoint", () => {
  assert.throws(() => createClient({ pattern: "tmb", dpop: createDpop() }), { name: "TypeError", message: /tokenEndpoint/ });
});
