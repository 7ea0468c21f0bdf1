"""django-allauth's provider `openid_connect`."""

import os

from django.http import JsonResponse

from django_project import project
from person import EMAIL, Person

# docs: settings.py
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "aa",
                "name": "Sign in",
                "client_id": os.environ["CLIENT_ID"],
                "secret": os.environ["CLIENT_SECRET"],
                "settings": {"server_url": os.environ["ISSUER"]},
            }
        ],
    }
}
# docs: end


def home(request):
    account = request.user.socialaccount_set.get()
    return JsonResponse({"email": request.user.email, "uid": account.uid, "claims": account.extra_data})


with project(
    home,
    {"accounts/": "allauth.urls"},
    apps=["allauth", "allauth.account", "allauth.socialaccount", "allauth.socialaccount.providers.openid_connect"],
    middleware=["allauth.account.middleware.AccountMiddleware"],
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    SOCIALACCOUNT_PROVIDERS=SOCIALACCOUNT_PROVIDERS,
    SOCIALACCOUNT_LOGIN_ON_GET=True,
):
    account = Person().sign_in(f"{os.environ['URL']}/accounts/oidc/aa/login/").json()
    claims = account["claims"]
    assert account["email"] == EMAIL and account["uid"] == claims["userinfo"]["sub"], account
    assert claims["id_token"]["iss"] == os.environ["ISSUER"], account
