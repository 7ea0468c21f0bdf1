// oauth4webapi, as in its example of the code flow.
import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";
import { Person } from "../person.mjs";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, EMAIL } = process.env;
const signIn = async (url) => (await new Person().signIn(url, (at) => at.href.startsWith(REDIRECT_URI))).at;
const http = { [oauth.allowInsecureRequests]: true }; // http://localhost alone

// docs: the client
const issuer = new URL(ISSUER);
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, http));
const client = { client_id: CLIENT_ID };
const clientAuth = oauth.ClientSecretBasic(CLIENT_SECRET);
const code_verifier = oauth.generateRandomCodeVerifier();
const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
const url = new URL(as.authorization_endpoint);
url.search = new URLSearchParams({
  client_id: CLIENT_ID,
  redirect_uri: REDIRECT_URI,
  response_type: "code",
  scope: "openid profile email offline_access",
  code_challenge: await oauth.calculatePKCECodeChallenge(code_verifier),
  code_challenge_method: "S256",
  state,
  nonce,
});
// docs: end
const callbackUrl = await signIn(url);
// docs: the callback
const params = oauth.validateAuthResponse(as, client, callbackUrl, state);
const tokens = await oauth.processAuthorizationCodeResponse(
  as,
  client,
  await oauth.authorizationCodeGrantRequest(as, client, clientAuth, params, REDIRECT_URI, code_verifier, http),
  { expectedNonce: nonce, requireIdToken: true },
);
const { sub } = oauth.getValidatedIdTokenClaims(tokens);
const user = await oauth.processUserInfoResponse(
  as, client, sub, await oauth.userInfoRequest(as, client, tokens.access_token, http),
);
// docs: end
assert.equal(user.email, EMAIL);

// It checks application tokens as well (RFC 9068).
const request = new Request("https://api.example/", { headers: { authorization: `Bearer ${tokens.access_token}` } });
assert.equal((await oauth.validateJwtAccessToken(as, request, CLIENT_ID, http)).sub, sub);

let newest = tokens.refresh_token;
const refresh = async () => oauth.processRefreshTokenResponse(
  as, client, await oauth.refreshTokenGrantRequest(as, client, clientAuth, newest, http),
);
for (let round = 0; round < 2; round++) {
  const { refresh_token } = await refresh();
  assert.notEqual(refresh_token, newest);
  newest = refresh_token;
}
await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, clientAuth, newest, http));
await assert.rejects(refresh(), { error: "invalid_grant" });
