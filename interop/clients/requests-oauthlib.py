"""requests-oauthlib's OAuth2Session."""

import os

import jwt
from oauthlib.oauth2 import InvalidGrantError
from requests_oauthlib import OAuth2Session

from person import EMAIL, Person

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # http://localhost alone
issuer, client_id, client_secret, redirect_uri = (
    os.environ[name] for name in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URI")
)

# docs: the client
client = OAuth2Session(
    client_id,
    redirect_uri=redirect_uri,
    scope=["openid", "profile", "email", "offline_access"],
    pkce="S256",
)
url, state = client.authorization_url(f"{issuer}/oauth/authorize")
# docs: end
callback = Person().sign_in(url, stop=redirect_uri)
# docs: the callback
token = client.fetch_token(
    f"{issuer}/oauth/token", authorization_response=callback, client_secret=client_secret
)
user = client.get(f"{issuer}/oauth/userinfo").json()
# docs: end
# It does not look at ID tokens; PyJWT does.
key = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json").get_signing_key_from_jwt(token["id_token"])
claims = jwt.decode(token["id_token"], key, algorithms=["RS256"], audience=client_id, issuer=issuer)
assert (user["sub"], user["email"]) == (claims["sub"], EMAIL), user

for _ in range(2):
    old = client.token["refresh_token"]
    client.refresh_token(f"{issuer}/oauth/token", auth=(client_id, client_secret))
    assert client.token["refresh_token"] != old

answer = client.post(
    f"{issuer}/oauth/revoke",
    data={"token": client.token["refresh_token"]},
    auth=(client_id, client_secret),
    withhold_token=True,
)
assert answer.status_code == 200, answer.text
try:
    client.refresh_token(f"{issuer}/oauth/token", auth=(client_id, client_secret))
    raise SystemExit("a revoked token was refreshed")
except InvalidGrantError:
    pass
