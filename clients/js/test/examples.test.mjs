// The examples, built by Vite from the packed package, in a DOM: sign-in, a call to the API, renewal, sign-out.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { Browser } from "happy-dom";
import { build } from "vite";
import { verify } from "./authority.mjs";
import { browser, program, tab } from "./chromium.mjs";
import { install, source } from "./packed.mjs";

const packed = install("react", "react-dom", "vue", "@vitejs/plugin-vue", "vite");
/** How long a token lives, in seconds. */
const LIFE = 2;
const TYPES = { html: "text/html", js: "text/javascript", css: "text/css" };
const sleep = (ms) => new Promise((resume) => setTimeout(resume, ms));

async function listen(t, handle) {
  const server = createServer((request, answer) =>
    handle(request, answer).catch((error) => {
      console.error(error);
      answer.writeHead(500).end();
    }),
  );
  await new Promise((resume) => server.listen(0, "localhost", resume));
  t.after(() => server.close().closeAllConnections());
  return { server, url: `http://localhost:${server.address().port}` };
}

/** The servers of an app: its backend, which has its pages and sessions, and the API at another origin. */
async function servers(t, { pattern, dpop }) {
  const seen = { renewals: 0, calls: [], sessions: new Set(), tokens: new Map(), isAway: false };
  const tokenEndpoint = "https://aa.example/oauth/token";
  const nonceOf = (proof) => JSON.parse(Buffer.from(proof.split(".")[1], "base64url")).nonce;

  const backend = await listen(t, async (request, answer) => {
    const url = new URL(request.url, "http://localhost");
    const sid = /sid=([\w-]+)/.exec(request.headers.cookie)?.[1];
    const isSignedIn = seen.sessions.has(sid);
    const json = (status, body, headers = {}) => answer.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
    const ended = () => json(401, { error: "session_expired" });
    const user = { sub: "ann", name: "Ann" };
    const issue = async () => {
      let thumbprint;
      if (dpop) {
        const proof = request.headers.dpop;
        const nonce = nonceOf(proof);
        ({ thumbprint } = await verify(proof, { method: "POST", url: tokenEndpoint, nonce }));
        if (nonce !== "aa") return json(400, { error: "use_dpop_nonce" }, { "DPoP-Nonce": "aa" });
      }
      const token = `at-${++seen.renewals}`;
      seen.tokens.set(token, { thumbprint, until: Date.now() + LIFE * 1000 });
      return json(200, { access_token: token, expires_in: LIFE, token_type: dpop ? "DPoP" : "Bearer", logged_in: true, user });
    };
    switch (url.pathname) {
      case "/auth/login": {
        const next = randomUUID();
        seen.sessions.add(next);
        return answer.writeHead(302, { Location: url.searchParams.get("return_to"), "Set-Cookie": `sid=${next}; HttpOnly; SameSite=Lax; Path=/` }).end();
      }
      case "/auth/me":
        return isSignedIn ? json(200, { ...user, csrf_token: "csrf" }) : ended();
      case "/auth/session":
        return isSignedIn ? issue() : json(200, { logged_in: false });
      case "/auth/token":
      case "/auth/refresh":
        if (pattern === "spa" && request.headers["x-csrf-token"] !== "csrf") return json(403, {});
        return isSignedIn ? issue() : ended();
      case "/auth/logout":
        if (seen.isAway) return json(503, {});
        seen.sessions.delete(sid);
        return json(200, { signed_out: true });
      case "/api/orders":
        if (request.headers["x-csrf"] !== "1") return json(403, {});
        if (!isSignedIn) return ended();
        seen.calls.push("the backend");
        return json(200, [{ id: 1, text: "one order, by the backend" }]);
      default: {
        const name = url.pathname === "/" ? "/index.html" : url.pathname;
        const path = name === "/client.js" ? join(packed.folder, "node_modules/@authority/client", name) : join(seen.pages, name);
        if (name.includes("..") || !existsSync(path)) return answer.writeHead(404).end();
        return answer.writeHead(200, { "Content-Type": TYPES[name.split(".").at(-1)] }).end(readFileSync(path));
      }
    }
  });

  const api = await listen(t, async (request, answer) => {
    const cors = {
      "Access-Control-Allow-Origin": backend.url,
      "Access-Control-Allow-Headers": "authorization, dpop",
      "Access-Control-Expose-Headers": "WWW-Authenticate, DPoP-Nonce",
    };
    if (request.method === "OPTIONS") return answer.writeHead(204, cors).end();
    const json = (status, body, headers = {}) => answer.writeHead(status, { ...cors, "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
    const [scheme, token] = (request.headers.authorization ?? "").split(" ");
    const known = seen.tokens.get(token);
    if (!known || known.until < Date.now() || scheme !== (dpop ? "DPoP" : "Bearer")) return json(401, {});
    if (dpop) {
      const proof = request.headers.dpop;
      const nonce = nonceOf(proof);
      const { thumbprint } = await verify(proof, { method: "GET", url: `${api.url}/v1/orders`, accessToken: token, nonce });
      assert.equal(thumbprint, known.thumbprint);
      if (nonce !== "api") return json(401, {}, { "WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": "api" });
    }
    seen.calls.push(token);
    return json(200, [{ id: 1, text: `one order, by ${token}` }]);
  });
  return Object.assign(seen, { backend: backend.url, api: `${api.url}/v1`, tokenEndpoint });
}

/** The answer with its whole body, if it is an error: happy-dom cannot clone one that is still arriving. */
async function whole({ window, response }) {
  if (response.ok) return undefined;
  const { status, headers } = response;
  return new window.Response(await response.text(), { status, headers });
}

const TEXT = "document.body?.innerText ?? ''";
const STORED = "JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }])";
const press = (name) => `(() => {
  const button = [...document.querySelectorAll("button")].find(({ textContent }) => textContent === ${JSON.stringify(name)});
  if (!button || button.closest("[hidden]")) return false;
  button.click();
  return true;
})()`;

/** Where pages are opened: each answers how to run code in a page that it has opened. */
const PLACES = {
  async "happy-dom"(t) {
    const settings = {
      enableJavaScriptEvaluation: true,
      suppressInsecureJavaScriptEnvironmentWarning: true,
      fetch: { interceptor: { afterAsyncResponse: whole } },
    };
    const opened = new Browser({ settings });
    t.after(() => opened.close());
    return async (url) => {
      const page = opened.newPage();
      await page.goto(url);
      return async (code) => page.evaluate(code);
    };
  },
  async Chromium(t) {
    const send = await browser(t);
    return (url) => tab(send, url);
  },
};

/** Waits until the page says what is expected. */
async function says(run, text) {
  let said;
  for (let tries = 150; tries; tries--) {
    said = await run(TEXT).catch(() => ""); // between two pages there is none
    if (text.test(said)) return;
    await sleep(30);
  }
  assert.fail(`the page does not say ${text}: ${said}`);
}

async function built(root, { api, tokenEndpoint }) {
  process.env.VITE_API_URL = api;
  process.env.VITE_TOKEN_ENDPOINT = tokenEndpoint;
  await build({ root, logLevel: "error" });
  return join(root, "dist");
}

const EXAMPLES = [
  { name: "html", pattern: "bff" },
  { name: "react", pattern: "tmb" },
  { name: "vue", pattern: "spa", dpop: true },
];
for (const [place, opener] of Object.entries(PLACES)) {
  for (const { name, ...kind } of EXAMPLES) {
    const hasTokens = kind.pattern !== "bff";
    const what = `signing in, a call${hasTokens ? ", a renewed token" : ""}, signing out, an end elsewhere`;
    test(`${name} in ${place}: ${what}`, { skip: place === "Chromium" && !program }, async (t) => {
      const seen = await servers(t, kind);
      const root = packed.example(name);
      seen.pages = hasTokens ? await built(root, seen) : root;
      const run = await (await opener(t))(`${seen.backend}/`);
      const click = async (button) => assert.ok(await run(press(button)), `there is a button "${button}"`);

      await says(run, /You are not signed in/);
      assert.deepEqual([seen.renewals, seen.calls], [0, []]);

      await click("Sign in"); // to the backend, and back
      await says(run, /Hello, Ann!/);
      await click("Load orders");
      await says(run, hasTokens ? /one order, by at-\d/ : /one order, by the backend/);
      if (hasTokens) {
        const [first] = seen.calls;
        await sleep(LIFE * 1000 + 50);
        await click("Load orders");
        const deadline = Date.now() + 5000;
        while (seen.calls.length < 2 && Date.now() < deadline) await sleep(10);
        assert.notEqual(seen.calls[1] ?? first, first, "the API was called with another token");
        await says(run, new RegExp(`one order, by ${seen.calls[1]}`));
      }
      assert.doesNotMatch(await run(STORED), /at-|sid/, "no token is where a page could leave it");

      seen.isAway = true;
      await click("Sign out");
      await says(run, /still signed in|the backend answered 503/);
      seen.isAway = false;
      await click("Sign out");
      await says(run, /You are not signed in/);
      assert.equal(seen.sessions.size, 0);

      // A session that has ended elsewhere is noticed with the next call.
      await click("Sign in");
      await says(run, /Hello, Ann!/);
      seen.sessions.clear();
      seen.tokens.clear();
      await click("Load orders");
      await says(run, /You are not signed in/);
    });
  }
}

test("a sign-out in one tab of Chromium is seen in the other", { skip: !program }, async (t) => {
  const seen = await servers(t, { pattern: "spa", dpop: true });
  seen.pages = await built(packed.example("vue"), seen);
  const open = await PLACES.Chromium(t);
  const one = await open(`${seen.backend}/`);
  await says(one, /You are not signed in/);
  await one(press("Sign in"));
  await says(one, /Hello, Ann!/);
  const two = await open(`${seen.backend}/`);
  await says(two, /Hello, Ann!/);
  await one(press("Load orders"));
  await says(one, /one order, by at-1/);
  await two(press("Load orders"));
  await says(two, /one order, by at-\d/); // at-1 unless it has expired by then: the key is the same
  await two(press("Sign out"));
  await says(one, /You are not signed in/);
});

test("the manual shows the examples as they are", () => {
  const manual = readFileSync(join(source, "README.md"), "utf8");
  const shown = [...manual.matchAll(/^```\w+ (examples\/\S+)\n([^]*?)^```$/gm)];
  assert.deepEqual(
    shown.map(([, path]) => path.split("/")[1]).sort(),
    ["html", "html", "react", "vue", "vue"],
  );
  for (const [, path, text] of shown) assert.equal(text, readFileSync(join(source, path), "utf8"), path);
});
