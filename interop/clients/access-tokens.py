"""Libraries of APIs in Python: PyJWT and joserfc check application tokens of every algorithm."""

import os

import jwt
import requests
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

issuer, client_id, algorithm = (os.environ[name] for name in ("ISSUER", "CLIENT_ID", "ALG"))
audience, jwks_uri = "orders", f"{issuer}/.well-known/jwks.json"
answer = requests.post(
    f"{issuer}/oauth/token",
    data={"grant_type": "client_credentials"},
    auth=(client_id, os.environ["CLIENT_SECRET"]),
    timeout=10,
)
token = answer.json()["access_token"]
assert jwt.get_unverified_header(token)["alg"] == algorithm


def by_pyjwt(token):
    # docs: PyJWT
    key = jwt.PyJWKClient(jwks_uri).get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key, algorithms=["EdDSA", "ES256", "RS256"], audience=audience, issuer=issuer)
    # docs: end
    return claims["sub"]


def by_joserfc(token):
    # docs: joserfc
    keys = KeySet.import_key_set(requests.get(jwks_uri, timeout=10).json())
    claims = joserfc_jwt.decode(token, keys, algorithms=["EdDSA", "Ed25519", "ES256", "RS256"]).claims
    joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
    ).validate(claims)
    # docs: end
    return claims["sub"]


tampered = token[:-8] + ("BBBBBBBB" if token.endswith("AAAAAAAA") else "AAAAAAAA")
for check in (by_pyjwt, by_joserfc):
    assert check(token) == f"app:{client_id}"
    try:
        check(tampered)
    except (jwt.InvalidTokenError, JoseError):
        continue
    raise SystemExit(f"{check.__name__} accepts a bad signature")
