// Libraries of APIs in Node.js: which of them check application tokens of which algorithm. What a library cannot do is
// asserted as well, so that docs/clients says what is true.
import assert from "node:assert/strict";
import OktaJwtVerifier from "@okta/jwt-verifier";
import { JwtVerifier } from "aws-jwt-verify";
import express from "express";
import { auth } from "express-oauth2-jwt-bearer";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { once } from "node:events";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, ALG } = process.env;
const AUDIENCE = "orders";
const jwksUri = `${ISSUER}/.well-known/jwks.json`;

const answer = await fetch(`${ISSUER}/oauth/token`, {
  method: "POST",
  headers: { authorization: `Basic ${btoa(`${CLIENT_ID}:${CLIENT_SECRET}`)}` },
  body: new URLSearchParams({ grant_type: "client_credentials" }),
});
const { access_token } = await answer.json();
const [header] = access_token.split(".");
assert.equal(JSON.parse(Buffer.from(header, "base64url")).alg, ALG);

const verifiers = {
  async jose(token) {
    // docs: jose
    const keys = createRemoteJWKSet(new URL(jwksUri));
    const { payload } = await jwtVerify(token, keys, { issuer: ISSUER, audience: AUDIENCE, typ: "at+jwt" });
    // docs: end
    return payload.sub;
  },
  async "express-oauth2-jwt-bearer"(token) {
    const app = express();
    // docs: express-oauth2-jwt-bearer
    app.use(auth({ issuerBaseURL: ISSUER, audience: AUDIENCE, strict: true }));
    // docs: end
    app.get("/", (request, response) => response.send(request.auth.payload.sub));
    app.use((error, request, response, next) => response.status(error.status ?? 500).send(error.message));
    const server = app.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const answer = await fetch(`http://127.0.0.1:${server.address().port}/`, { headers: { authorization: `Bearer ${token}` } });
      const text = await answer.text();
      if (!answer.ok) throw new Error(text);
      return text;
    } finally {
      server.close();
      server.closeAllConnections();
    }
  },
  async "aws-jwt-verify"(token) {
    // docs: aws-jwt-verify
    const verifier = JwtVerifier.create({ issuer: ISSUER, audience: AUDIENCE, jwksUri });
    // docs: end
    verifier.cacheJwks(await (await fetch(jwksUri)).json()); // it fetches them by https alone
    return verifier.verifySync(token).sub;
  },
  async "@okta/jwt-verifier"(token) {
    // docs: @okta/jwt-verifier
    const verifier = new OktaJwtVerifier({
      issuer: ISSUER,
      jwksUri,
      testing: { disableHttpsCheck: true }, // http://localhost alone
    });
    const { claims } = await verifier.verifyAccessToken(token, AUDIENCE);
    // docs: end
    return claims.sub;
  },
};
const cannot = { EdDSA: ["@okta/jwt-verifier"], ES256: ["@okta/jwt-verifier"], RS256: [] };

const tampered = access_token.slice(0, -8) + (access_token.endsWith("AAAAAAAA") ? "BBBBBBBB" : "AAAAAAAA");
for (const [name, verify] of Object.entries(verifiers)) {
  await assert.rejects(verify(tampered), `${name} accepts a bad signature`);
  if (cannot[ALG].includes(name)) await assert.rejects(verify(access_token), `${name} now works with ${ALG}: say so`);
  else assert.equal(await verify(access_token), `app:${CLIENT_ID}`, `${name} and ${ALG}`);
}
