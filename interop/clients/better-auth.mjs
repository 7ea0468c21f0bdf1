// better-auth's plugin genericOAuth.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { toNodeHandler } from "better-auth/node";
import { genericOAuth } from "better-auth/plugins";
import { Person } from "../person.mjs";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PORT, URL: home, EMAIL } = process.env;
const tables = { user: [], session: [], account: [], verification: [] };

// docs: auth.js
const auth = betterAuth({
  baseURL: home,
  secret: crypto.randomUUID(),
  database: memoryAdapter(tables),
  plugins: [
    genericOAuth({
      config: [{
        providerId: "aa",
        discoveryUrl: `${ISSUER}/.well-known/openid-configuration`,
        clientId: CLIENT_ID,
        clientSecret: CLIENT_SECRET,
        scopes: ["openid", "profile", "email", "offline_access"],
        pkce: true,
      }],
    }),
  ],
});
// docs: end
const handler = toNodeHandler(auth);
const server = createServer((request, response) => (request.url === "/" ? response.end("home") : handler(request, response)));
await new Promise((ready) => server.listen(PORT, "127.0.0.1", ready));

const person = new Person();
const post = async (path, body) => {
  const headers = { "content-type": "application/json", origin: home };
  const answer = await person.go(`${home}/api/auth${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  const json = await answer.json();
  assert.equal(answer.status, 200, `${path}: ${JSON.stringify(json)}`);
  return json;
};
const { url } = await post("/sign-in/social", { provider: "aa", callbackURL: `${home}/` });
assert.match(url, /code_challenge_method=S256/);
assert.equal((await person.signIn(url)).at.href, `${home}/`);
const { user } = await (await person.go(`${home}/api/auth/get-session`)).json();
assert.equal(user.email, EMAIL);
const tokens = new Set([tables.account[0].refreshToken]);
for (let round = 0; round < 2; round++) {
  await post("/refresh-token", { accountId: tables.account[0].id });
  tokens.add(tables.account[0].refreshToken);
}
assert.equal(tokens.size, 3);
server.close();
server.closeAllConnections();
