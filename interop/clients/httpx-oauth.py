"""httpx-oauth's OpenID client."""

import asyncio
import base64
import hashlib
import os
import secrets
from urllib.parse import parse_qs, urlsplit

from httpx_oauth.clients.openid import OpenID
from httpx_oauth.oauth2 import RefreshTokenError

from person import EMAIL, Person

redirect_uri = os.environ["REDIRECT_URI"]


async def main():
    # docs: the client
    client = OpenID(
        os.environ["CLIENT_ID"],
        os.environ["CLIENT_SECRET"],
        f"{os.environ['ISSUER']}/.well-known/openid-configuration",
        base_scopes=["openid", "profile", "email", "offline_access"],
    )
    code_verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(code_verifier.encode()).digest()
    url = await client.get_authorization_url(
        redirect_uri,
        state=secrets.token_urlsafe(),
        code_challenge=base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        code_challenge_method="S256",
    )
    # docs: end
    callback = await asyncio.to_thread(Person().sign_in, url, redirect_uri)
    code = parse_qs(urlsplit(callback).query)["code"][0]
    # docs: the callback
    token = await client.get_access_token(code, redirect_uri, code_verifier)
    subject, email = await client.get_id_email(token["access_token"])
    # docs: end
    assert subject and email == EMAIL

    for _ in range(2):
        newer = await client.refresh_token(token["refresh_token"])
        assert newer["refresh_token"] != token["refresh_token"]
        token = newer
    await client.revoke_token(token["refresh_token"], "refresh_token")
    try:
        await client.refresh_token(token["refresh_token"])
        raise SystemExit("a revoked token was refreshed")
    except RefreshTokenError as error:
        assert error.response.json()["error"] == "invalid_grant"


asyncio.run(main())
