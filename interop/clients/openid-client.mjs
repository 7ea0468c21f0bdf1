// openid-client 6.
import assert from "node:assert/strict";
import * as client from "openid-client";
import { Person } from "../person.mjs";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, URL: home, EMAIL } = process.env;
const person = new Person();
const signIn = async (url) => (await person.signIn(url, (at) => at.href.startsWith(REDIRECT_URI))).at;

// docs: the client
const config = await client.discovery(new URL(ISSUER), CLIENT_ID, CLIENT_SECRET, undefined, {
  execute: [client.allowInsecureRequests], // http://localhost alone
});
const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const expectedNonce = client.randomNonce();
const redirectTo = client.buildAuthorizationUrl(config, {
  redirect_uri: REDIRECT_URI,
  scope: "openid profile email offline_access",
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: "S256",
  state: expectedState,
  nonce: expectedNonce,
});
// docs: end
const callbackUrl = await signIn(redirectTo);
// docs: the callback
const tokens = await client.authorizationCodeGrant(config, callbackUrl, {
  pkceCodeVerifier,
  expectedState,
  expectedNonce,
  idTokenExpected: true,
});
const { sub } = tokens.claims();
const user = await client.fetchUserInfo(config, tokens.access_token, sub);
// docs: end
assert.equal(user.email, EMAIL);

let newest = tokens.refresh_token;
for (let round = 0; round < 2; round++) {
  const { refresh_token } = await client.refreshTokenGrant(config, newest);
  assert.notEqual(refresh_token, newest);
  newest = refresh_token;
}
assert.equal((await client.tokenIntrospection(config, newest)).active, true);
await client.tokenRevocation(config, newest);
assert.equal((await client.tokenIntrospection(config, newest)).active, false);
await assert.rejects(client.refreshTokenGrant(config, newest), { error: "invalid_grant" });

const signOut = client.buildEndSessionUrl(config, {
  id_token_hint: tokens.id_token,
  post_logout_redirect_uri: `${home}/`,
  state: "out",
});
assert.equal((await person.follow(signOut, (at) => at.href.startsWith(home))).at.href, `${home}/?state=out`);
assert.match((await person.follow(redirectTo)).at.pathname, /login/);
