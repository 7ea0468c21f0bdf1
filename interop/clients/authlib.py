"""authlib's OAuth2Session for requests."""

import os

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from joserfc import jwt
from joserfc.jwk import KeySet

from person import EMAIL, Person

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # http://localhost alone
issuer, client_id, redirect_uri = (os.environ[name] for name in ("ISSUER", "CLIENT_ID", "REDIRECT_URI"))
metadata = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=10).json()
assert metadata["issuer"] == issuer

# docs: the client
client = OAuth2Session(
    client_id,
    os.environ["CLIENT_SECRET"],
    scope="openid profile email offline_access",
    redirect_uri=redirect_uri,
    code_challenge_method="S256",
)
code_verifier, nonce = generate_token(48), generate_token()
url, state = client.create_authorization_url(
    metadata["authorization_endpoint"], code_verifier=code_verifier, nonce=nonce
)
# docs: end
callback = Person().sign_in(url, stop=redirect_uri)
# docs: the callback
token = client.fetch_token(
    metadata["token_endpoint"], authorization_response=callback, state=state, code_verifier=code_verifier
)
keys = KeySet.import_key_set(client.get(metadata["jwks_uri"], withhold_token=True).json())
claims = jwt.decode(token["id_token"], keys, algorithms=["RS256"]).claims
jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": issuer},
    aud={"essential": True, "value": client_id},
    exp={"essential": True},
    nonce={"essential": True, "value": nonce},
).validate(claims)
user = client.get(metadata["userinfo_endpoint"]).json()
# docs: end
assert (user["sub"], user["email"]) == (claims["sub"], EMAIL), user

for _ in range(2):
    old = client.token["refresh_token"]
    client.refresh_token(metadata["token_endpoint"], refresh_token=old)
    assert client.token["refresh_token"] != old
newest = client.token["refresh_token"]
assert client.introspect_token(metadata["introspection_endpoint"], token=newest).json()["active"]

client.revoke_token(metadata["revocation_endpoint"], token=newest).raise_for_status()
try:
    client.refresh_token(metadata["token_endpoint"], refresh_token=newest)
    raise SystemExit("a revoked token was refreshed")
except OAuthError as error:
    assert error.error == "invalid_grant", error
assert client.get(metadata["userinfo_endpoint"]).status_code == 401
