// The key in Chromium: real WebCrypto, real IndexedDB, real tabs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { test } from "node:test";
import { verify } from "./authority.mjs";
import { browser, program, tab } from "./chromium.mjs";

const TABS = 4;

test("tabs of Chromium make one key, which no script can read", { skip: !program, timeout: 60_000 }, async (t) => {
  const server = createServer((request, answer) => {
    const isScript = request.url === "/dpop.js";
    answer.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    answer.end(isScript ? readFileSync(new URL("../dpop.js", import.meta.url)) : "<!doctype html><title>ready</title>");
  });
  await new Promise((resume) => server.listen(0, "127.0.0.1", resume));
  t.after(() => server.close().closeAllConnections());
  const url = `http://127.0.0.1:${server.address().port}/`;

  const send = await browser(t);
  const runs = await Promise.all(Array.from({ length: TABS }, () => tab(send, url)));
  // Making a key takes so long that every tab has found none before the first is written.
  const slow = `const real = crypto.subtle.generateKey.bind(crypto.subtle);
    crypto.subtle.generateKey = async (...args) => {
      window.made = (window.made ?? 0) + 1;
      await new Promise((resume) => setTimeout(resume, 1000));
      return real(...args);
    };`;
  await Promise.all(runs.map((run) => run(`${slow} import("/dpop.js").then(({ createDpop }) => { window.dpop = createDpop(); })`)));
  const thumbprints = await Promise.all(runs.map((run) => run("dpop.thumbprint()")));
  assert.deepEqual(await Promise.all(runs.map((run) => run("window.made"))), Array(TABS).fill(1));
  assert.deepEqual(thumbprints, Array(TABS).fill(thumbprints[0]));
  assert.match(thumbprints[0], /^[\w-]{43}$/);

  // A page that is opened later has the same key, from the database.
  const later = await tab(send, url);
  const request = { method: "GET", url: "https://api.example/notes", accessToken: "at" };
  const proof = await later(`import('/dpop.js').then(({ createDpop }) => createDpop().proof(${JSON.stringify(request)}))`);
  assert.equal((await verify(proof, request)).thumbprint, thumbprints[0]);
  const stolen = await later(`new Promise((resolve) => {
    const opening = indexedDB.open("dpop");
    opening.onsuccess = () => {
      const reading = opening.result.transaction("keys").objectStore("keys").get("default");
      reading.onsuccess = () => crypto.subtle.exportKey("jwk", reading.result.privateKey).then(() => resolve("it was read"), ({ name }) => resolve(name));
    };
  })`);
  assert.equal(stolen, "InvalidAccessError");
});
