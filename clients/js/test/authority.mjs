// A server that checks DPoP proofs as RFC 9449 §4.3 says, with jose.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } from "jose";

export const sha256 = (text) => createHash("sha256").update(text).digest("base64url");

/** The claims of a proof that is right for this request, and the thumbprint of its key. */
export async function verify(proof, { method, url, accessToken, nonce, now = new Date() }) {
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
    typ: "dpop+jwt",
    algorithms: ["ES256"],
    requiredClaims: ["jti", "htm", "htu", "iat"],
    maxTokenAge: 60,
    clockTolerance: 2,
    currentDate: now,
  });
  assert.deepEqual(Object.keys(protectedHeader).sort(), ["alg", "jwk", "typ"]);
  assert.deepEqual(Object.keys(protectedHeader.jwk).sort(), ["crv", "kty", "x", "y"], "only the public key");
  assert.equal(payload.htm, method);
  assert.equal(payload.htu, url);
  assert.equal(payload.ath, accessToken && sha256(accessToken));
  assert.equal(payload.nonce, nonce);
  return { ...payload, thumbprint: await calculateJwkThumbprint(protectedHeader.jwk) };
}
