// openid-client's own way through the code flow with PKCE: sign in, userinfo, refresh, introspect, revoke.
import assert from "node:assert";
import * as client from "openid-client";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, EMAIL, PASSWORD } = process.env;
const config = await client.discovery(new URL(ISSUER), CLIENT_ID, CLIENT_SECRET, undefined, {
  execute: [client.allowInsecureRequests],
});

// The person: follows redirects to the sign-in page, fills it in, and ends at the app's callback.
async function signIn(url) {
  const cookies = new Map();
  const go = async (to, options = {}) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(new URL(to, ISSUER), { redirect: "manual", ...options, headers: { cookie } });
    for (const header of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(header);
      cookies.set(name, value);
    }
    return answer;
  };
  let answer = await go(url);
  while (answer.status === 303) answer = await go(answer.headers.get("location"));
  const page = await answer.text();
  const body = new URLSearchParams({ email: EMAIL, password: PASSWORD });
  for (const [, name, value] of page.matchAll(/name="(csrf|return_to)" value="([^"]*)"/g)) {
    body.set(name, value.replaceAll("&#38;", "&").replaceAll("&amp;", "&"));
  }
  answer = await go("/login", { method: "POST", body });
  while (!answer.headers.get("location").startsWith(REDIRECT_URI)) answer = await go(answer.headers.get("location"));
  return new URL(answer.headers.get("location"));
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
