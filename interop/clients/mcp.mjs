// The client of the MCP SDK at an MCP server that `tokens` guards: it knows the server's URL, and finds the rest.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Person, eventually } from "../person.mjs";

const { ISSUER, CLIENT_ID, REDIRECT_URI, URL: home, MCP_SERVER, METADATA, PROVIDER_PORT, WORK } = process.env;
const server = spawn(MCP_SERVER, { stdio: "inherit" });
process.on("exit", () => server.kill());
await eventually(async () => assert.equal((await fetch(`${home}/.well-known/oauth-protected-resource/mcp`)).status, 200));
const refused = await fetch(`${home}/mcp`, { method: "POST" });
assert.equal(refused.status, 401);
assert.match(refused.headers.get("www-authenticate"), /resource_metadata="[^"]+\/\.well-known\/oauth-protected-resource\/mcp"/);

// The agent is registered, or publishes its metadata: then its address is its id.
const address = METADATA && `https://localhost:${PROVIDER_PORT}/agent.json`;
// docs: the metadata
const metadata = {
  client_id: address,
  client_name: "Night Owl",
  redirect_uris: [REDIRECT_URI],
  grant_types: ["authorization_code", "refresh_token"],
  token_endpoint_auth_method: "none",
};
// docs: end
if (address) {
  const [key, cert] = ["key", "crt"].map((ending) => readFileSync(`${WORK}/localhost.${ending}`));
  createServer({ key, cert }, (_, response) => response.end(JSON.stringify(metadata))).listen(PROVIDER_PORT);
}

// docs: the agent
class Account {
  redirectUrl = REDIRECT_URI;
  clientMetadata = metadata;
  clientMetadataUrl = address;
  clientInformation = () => this.client ?? (address ? undefined : { client_id: CLIENT_ID });
  saveClientInformation = (client) => { this.client = client; };
  tokens = () => this.saved;
  saveTokens = (tokens) => { this.saved = tokens; };
  codeVerifier = () => this.verifier;
  saveCodeVerifier = (verifier) => { this.verifier = verifier; };
  redirectToAuthorization = (url) => { this.authorizationUrl = url; };
  invalidateCredentials = () => { this.saved = undefined; };
}

const account = new Account();
const transport = () => new StreamableHTTPClientTransport(new URL(`${home}/mcp`), { authProvider: account });
const agent = new Client({ name: "night-owl", version: "1.0.0" });
// docs: end

// Refused, it has found the authority, and asks for the server by its URL.
const first = transport();
await assert.rejects(agent.connect(first), UnauthorizedError);
assert.ok(account.authorizationUrl.href.startsWith(`${ISSUER}/oauth/authorize?`));
assert.equal(account.authorizationUrl.searchParams.get("resource"), `${home}/mcp`);
assert.equal(account.authorizationUrl.searchParams.get("client_id"), address ?? CLIENT_ID);

// The user is asked what they allow, and does.
const person = new Person();
const question = await person.signIn(account.authorizationUrl);
for (const text of ["Read your notes (notes:read)", "Notes for agents", "a program on this device"]) {
  assert.ok(question.page.includes(text), `${text}: ${question.page}`);
}
const { at } = await person.answer(question, "continue", (url) => url.href.startsWith(REDIRECT_URI));
await first.finishAuth(at.searchParams.get("code"));
await agent.connect(transport());
const callTool = async () => (await agent.callTool({ name: "read_notes" })).content[0].text;
assert.equal((await agent.listTools()).tools[0].name, "read_notes");
const notes = await callTool();
assert.match(notes, /^The notes of [0-9a-f-]{36}$/);

// With a token that does not count any more, it refreshes.
const { refresh_token } = account.saved;
account.saved = { ...account.saved, access_token: `${account.saved.access_token}x` };
assert.equal(await callTool(), notes);
assert.notEqual(account.saved.refresh_token, refresh_token);

// The user ends it on the page of sessions, where it is marked: within a second, it gets nothing more.
const { page } = await person.follow(`${ISSUER}/sessions`);
assert.match(page, /<span class="badge plain">Agent<\/span>/);
const [, family] = /data-family="([^"]+)"/.exec(page);
const [, csrf] = /name="csrf" value="([^"]+)"/.exec(page);
const end = new URL(`/sessions/${family}/revoke`, ISSUER);
assert.equal((await person.go(end, { method: "POST", body: new URLSearchParams({ csrf }) })).status, 303);
await eventually(() => assert.rejects(callTool(), UnauthorizedError));
assert.equal(account.saved, undefined);
process.exit(0);
