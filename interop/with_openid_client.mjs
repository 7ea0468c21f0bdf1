// openid-client's own way through the code flow with PKCE: sign in, userinfo, refresh, introspect, revoke.
import assert from "node:assert";
import * as client from "openid-client";
import { Person } from "./person.mjs";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, EMAIL, PASSWORD } = process.env;
const config = await client.discovery(new URL(ISSUER), CLIENT_ID, CLIENT_SECRET, undefined, {
  execute: [client.allowInsecureRequests],
});

// The person signs in, and ends at the app's callback.
async function signIn(url) {
  const isDone = (at) => at.href.startsWith(REDIRECT_URI);
  const person = new Person();
  const page = await person.follow(url);
  return (await person.submit(page, { email: EMAIL, password: PASSWORD }, isDone)).at;
}

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
const tokens = await client.authorizationCodeGrant(config, await signIn(redirectTo), {
  pkceCodeVerifier,
  expectedState,
  expectedNonce,
  idTokenExpected: true,
});
const { sub } = tokens.claims();
const person = await client.fetchUserInfo(config, tokens.access_token, sub);
assert.equal(person.email, EMAIL);

const fresh = await client.refreshTokenGrant(config, tokens.refresh_token);
assert.notEqual(fresh.refresh_token, tokens.refresh_token);
assert.equal((await client.tokenIntrospection(config, fresh.refresh_token)).active, true);

await client.tokenRevocation(config, fresh.refresh_token);
assert.equal((await client.tokenIntrospection(config, fresh.refresh_token)).active, false);
await assert.rejects(client.refreshTokenGrant(config, fresh.refresh_token), { error: "invalid_grant" });
console.log("openid-client: sign-in, userinfo, refresh, introspection and revocation work");
