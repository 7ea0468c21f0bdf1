"""authlib's own way through the code flow with PKCE: sign in, userinfo, refresh, revoke."""

import html
import os
import re
from urllib.parse import urljoin

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session, OAuthError

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
issuer = os.environ["ISSUER"]
metadata = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=10).json()
assert metadata["issuer"] == issuer


def sign_in(url):
    """The person: follows redirects to the sign-in page, fills it in, and returns where it leads in the end."""
    browser = requests.Session()
    page = browser.get(url, timeout=10)
    hidden = dict(re.findall(r'name="(csrf|return_to)" value="([^"]*)"', page.text))
    form = {name: html.unescape(value) for name, value in hidden.items()}
    form |= {"email": os.environ["EMAIL"], "password": os.environ["PASSWORD"]}
    answer = browser.post(urljoin(issuer, "/login"), data=form, allow_redirects=False, timeout=10)
    while not answer.headers["Location"].startswith(os.environ["REDIRECT_URI"]):
        answer = browser.get(urljoin(issuer, answer.headers["Location"]), allow_redirects=False, timeout=10)
    return answer.headers["Location"]


client = OAuth2Session(
    os.environ["CLIENT_ID"],
    os.environ["CLIENT_SECRET"],
    scope="openid profile email offline_access",
    redirect_uri=os.environ["REDIRECT_URI"],
    code_challenge_method="S256",
)
code_verifier = generate_token(48)
uri, state = client.create_authorization_url(metadata["authorization_endpoint"], code_verifier=code_verifier)
token = client.fetch_token(
    metadata["token_endpoint"], authorization_response=sign_in(uri), code_verifier=code_verifier
)
person = client.get(metadata["userinfo_endpoint"]).json()
assert person["email"] == os.environ["EMAIL"], person

new = client.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"])
assert new["refresh_token"] != token["refresh_token"]

answer = client.revoke_token(
    metadata["revocation_endpoint"], token=new["refresh_token"], token_type_hint="refresh_token"
)
assert answer.status_code == 200, answer.text
try:
    client.refresh_token(metadata["token_endpoint"], refresh_token=new["refresh_token"])
    raise SystemExit("a revoked token was refreshed")
except OAuthError as error:
    assert error.error == "invalid_grant", error
assert client.get(metadata["userinfo_endpoint"]).status_code == 401
print("authlib: sign-in, userinfo, refresh and revocation work")
