// A front end under development: Vite's own server with the sample of docs/, and the BFF behind it. One origin for the
// browser; events arrive as they happen.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createApi } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { createServer } from "vite";
import { eventually, Person } from "./person.mjs";

const { BFF, BFF_PORT, ISSUER, EMAIL, PASSWORD, CLIENT_ID, CLIENT_SECRET } = process.env;
process.env.BACKEND = `http://127.0.0.1:${BFF_PORT}`;
const home = "http://localhost:5173";

const api = createApi((request, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write("data: first\n\n"); // and never ends
}).listen(0, "127.0.0.1");
await new Promise((ready) => api.once("listening", ready));
const work = mkdtempSync(join(tmpdir(), "vite-"));
writeFileSync(join(work, "index.html"), "<!doctype html><title>Under development</title>");
writeFileSync(join(work, "routes.toml"), `[[route]]\nprefix = "/api/events"\nupstream = "http://127.0.0.1:${api.address().port}"\n`);
const bff = spawn(BFF, [], {
  stdio: ["ignore", "inherit", "inherit"],
  env: {
    BFF_LISTEN: `127.0.0.1:${BFF_PORT}`, BFF_PUBLIC_URL: home, BFF_ISSUER: ISSUER, BFF_CLIENT_ID: CLIENT_ID, BFF_SESSION_STORE: "memory:",
    BFF_CLIENT_SECRET: CLIENT_SECRET, BFF_SCOPES: "openid profile email offline_access", BFF_DATA_DIR: work,
    BFF_ROUTES: join(work, "routes.toml"), BFF_LOG: "warn",
  },
});
const { default: sample } = await import("../docs/samples/vite.config.js");
const vite = await createServer({ ...sample, configFile: false, root: work, logLevel: "error", optimizeDeps: { noDiscovery: true } });
await vite.listen();
try {
  await eventually(async () => assert.equal((await fetch(`${process.env.BACKEND}/readyz`)).status, 200));
  const person = new Person();
  assert.match(await (await person.go(home, { headers: { accept: "text/html" } })).text(), /Under development/);
  const page = await person.follow(`${home}/auth/login`);
  const back = await person.submit(page, { email: EMAIL, password: PASSWORD });
  assert.equal(back.at.href, `${home}/`);
  assert.ok((await (await person.go(`${home}/auth/me`)).json()).name);
  const ours = { "X-CSRF": "1", origin: home };
  const gone = new AbortController();
  const events = await person.go(`${home}/api/events`, { headers: ours, signal: gone.signal });
  const { value } = await events.body.getReader().read();
  assert.equal(new TextDecoder().decode(value), "data: first\n\n");
  gone.abort();
  const foreign = await person.go(`${home}/api/events`, { headers: { ...ours, origin: "http://localhost:5174" } });
  assert.equal(foreign.status, 403);
  console.log("vite: one origin for pages, sign-in and API; events are not held back");
} finally {
  await vite.close();
  bff.kill();
  api.closeAllConnections();
  api.close();
  rmSync(work, { recursive: true });
}
process.exit();
