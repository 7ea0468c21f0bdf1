// The key in Chromium: real WebCrypto, real IndexedDB, real tabs. With CI set, a missing Chromium is a failure.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { verify } from "./authority.mjs";

const TABS = 4;

function chromium() {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      execFileSync(name, ["--version"], { stdio: "ignore" });
      return name;
    } catch {}
  }
  assert.ok(!process.env.CI, "there is no Chromium");
  return undefined;
}
const program = chromium();

/** A browser that takes commands of the DevTools protocol through a pipe, as JSON with a NUL after each. */
async function browser(t) {
  const profile = mkdtempSync(join(tmpdir(), "chromium-"));
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe", `--user-data-dir=${profile}`];
  const child = spawn(program, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const [, , , write, read] = child.stdio;
  t.after(async () => {
    const over = once(child, "exit");
    child.kill();
    await over;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  const waiting = new Map();
  let [text, last] = ["", 0];
  read.setEncoding("utf8").on("data", (chunk) => {
    const messages = (text + chunk).split("\0");
    text = messages.pop();
    for (const { id, result, error } of messages.map((message) => JSON.parse(message))) {
      if (error) waiting.get(id)?.reject(new Error(error.message));
      else waiting.get(id)?.resolve(result);
    }
  });
  return (method, params = {}, sessionId) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      write.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
    });
}

/** Opens a tab; answers how to run code in it. */
async function tab(send, url) {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  await send("Page.enable", {}, sessionId);
  const run = async (expression) => {
    const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }, sessionId);
    assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
    return result.value;
  };
  await send("Page.navigate", { url }, sessionId);
  for (let tries = 100; tries && (await run("document.title")) !== "ready"; tries--) await new Promise((resume) => setTimeout(resume, 50));
  return run;
}

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
