// openid-client 5, which many apps still use.
import assert from "node:assert/strict";
import { generators, Issuer } from "openid-client-5";
import { Person } from "../person.mjs";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, URL: home, EMAIL } = process.env;
const person = new Person();
const signIn = async (url) => (await person.signIn(url, (at) => at.href.startsWith(REDIRECT_URI))).at;

// docs: the client
const issuer = await Issuer.discover(ISSUER);
const client = new issuer.Client({
  client_id: CLIENT_ID,
  client_secret: CLIENT_SECRET,
  redirect_uris: [REDIRECT_URI],
  response_types: ["code"],
});
const code_verifier = generators.codeVerifier();
const [state, nonce] = [generators.state(), generators.nonce()];
const url = client.authorizationUrl({
  scope: "openid profile email offline_access",
  code_challenge: generators.codeChallenge(code_verifier),
  code_challenge_method: "S256",
  state,
  nonce,
});
// docs: end
const callback = await signIn(url);
// docs: the callback
const params = client.callbackParams(callback.href);
const tokens = await client.callback(REDIRECT_URI, params, { code_verifier, state, nonce });
const user = await client.userinfo(tokens.access_token);
// docs: end
assert.deepEqual([user.sub, user.email], [tokens.claims().sub, EMAIL]);

let newest = tokens.refresh_token;
for (let round = 0; round < 2; round++) {
  const { refresh_token } = await client.refresh(newest);
  assert.notEqual(refresh_token, newest);
  newest = refresh_token;
}
assert.equal((await client.introspect(newest)).active, true);
await client.revoke(newest);
await assert.rejects(client.refresh(newest), { error: "invalid_grant" });

const signOut = client.endSessionUrl({ id_token_hint: tokens, post_logout_redirect_uri: `${home}/` });
assert.equal((await person.follow(signOut, (at) => at.href.startsWith(home))).at.href, `${home}/`);
assert.match((await person.follow(url)).at.pathname, /login/);
