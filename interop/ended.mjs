// The followers of docs/integrating.md, in Node and Python: an ended session is refused by both, and no other is.
import assert from "node:assert";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import * as client from "openid-client";
import { Person, eventually } from "./person.mjs";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, EMAIL, PASSWORD, WORK, PYTHON, API_ID, API_SECRET } = process.env;
const { Follower } = await import(pathToFileURL(`${WORK}/follower.mjs`));
const config = await client.discovery(new URL(ISSUER), CLIENT_ID, CLIENT_SECRET, undefined, {
  execute: [client.allowInsecureRequests],
});

/** A session of a browser of its own. */
async function session() {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope: "openid offline_access",
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
  });
  const person = new Person();
  const page = await person.follow(url);
  const { at } = await person.submit(page, { email: EMAIL, password: PASSWORD }, (at) => at.href.startsWith(REDIRECT_URI));
  const tokens = await client.authorizationCodeGrant(config, at, { pkceCodeVerifier });
  const claims = JSON.parse(Buffer.from(tokens.access_token.split(".")[1], "base64url"));
  return { ...tokens, claims };
}

// The Python one is asked by lines of claims, and answers with whether it is current and whether they have ended.
const python = spawn(PYTHON, ["-c", `
import json, os, sys
sys.path.insert(0, os.environ["WORK"])
from follower import Follower
follower = Follower(os.environ["ISSUER"], os.environ["API_ID"], os.environ["API_SECRET"])
for line in sys.stdin:
    print(json.dumps([follower.age < 30, follower.has_ended(json.loads(line))]), flush=True)
`], { stdio: ["pipe", "pipe", "inherit"] });
const lines = createInterface({ input: python.stdout })[Symbol.asyncIterator]();
const askPython = async (claims) => {
  python.stdin.write(`${JSON.stringify(claims)}\n`);
  return JSON.parse((await lines.next()).value);
};
const node = new Follower(ISSUER, API_ID, API_SECRET);
const states = async (claims) => [[node.age < 30, node.hasEnded(claims)], await askPython(claims)];
const all = (current, ended) => [[current, ended], [current, ended]];

const [first, second, third] = [await session(), await session(), await session()];
await eventually(async () => assert.deepEqual(await states(first.claims), all(true, false)));
const took = async (claims) => {
  const began = performance.now();
  await eventually(async () => assert.deepEqual(await states(claims), all(true, true)));
  assert.ok(performance.now() - began < 1000, "within a second");
};
await client.tokenRevocation(config, first.refresh_token);
await took(first.claims);
assert.deepEqual(await states(second.claims), all(true, false));

// Everything of the user, by the page of their sessions.
const browser = new Person();
await browser.submit(await browser.follow(`${ISSUER}/login`), { email: EMAIL, password: PASSWORD });
const { page } = await browser.follow(`${ISSUER}/sessions`);
const csrf = /name="csrf" value="([^"]*)"/.exec(page)[1];
await browser.go(`${ISSUER}/sessions/revoke-all`, { method: "POST", body: new URLSearchParams({ csrf }) });
await took(second.claims);
await took(third.claims);
const later = await session();
assert.deepEqual(await states(later.claims), all(true, false));
python.stdin.end();
console.log("followers in Node and Python: ended sessions are refused within a second, and no others");
process.exit(0);
