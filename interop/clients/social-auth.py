"""social-auth-core's OpenIdConnectAuth, in Django by social-auth-app-django."""

import os

from django.http import JsonResponse

from django_project import project
from person import EMAIL, Person

url = os.environ["URL"]

# docs: settings.py
OIDC = dict(
    AUTHENTICATION_BACKENDS=["social_core.backends.open_id_connect.OpenIdConnectAuth"],
    SOCIAL_AUTH_OIDC_OIDC_ENDPOINT=os.environ["ISSUER"],
    SOCIAL_AUTH_OIDC_KEY=os.environ["CLIENT_ID"],
    SOCIAL_AUTH_OIDC_SECRET=os.environ["CLIENT_SECRET"],
    SOCIAL_AUTH_OIDC_USE_PKCE=True,
    SOCIAL_AUTH_OIDC_SCOPE=["offline_access"],  # besides openid, profile and email
)
# docs: end


def home(request):
    from social_django.utils import load_strategy
    account = request.user.social_auth.get()
    tokens = [account.extra_data["refresh_token"]]
    for _ in range(2):
        account.refresh_token(load_strategy())
        tokens.append(account.extra_data["refresh_token"])
    return JsonResponse({"email": request.user.email, "uid": account.uid, "refresh_tokens": len(set(tokens))})


with project(home, {"": "social_django.urls"}, apps=["social_django"], **OIDC):
    person = Person()
    start = person.browser.post(f"{url}/login/oidc/", allow_redirects=False)
    account = person.sign_in(start.headers["Location"]).json()
    assert account["email"] == EMAIL and account["uid"] and account["refresh_tokens"] == 3, account
