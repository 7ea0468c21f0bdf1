"""mozilla-django-oidc: sign-in, renewal by prompt=none, and sign-out at the authority."""

import os
from urllib.parse import urlencode

from django.http import JsonResponse

from django_project import project
from person import EMAIL, Person

issuer, url = os.environ["ISSUER"], os.environ["URL"]


# docs: settings.py
OIDC = dict(
    AUTHENTICATION_BACKENDS=["mozilla_django_oidc.auth.OIDCAuthenticationBackend"],
    OIDC_RP_CLIENT_ID=os.environ["CLIENT_ID"],
    OIDC_RP_CLIENT_SECRET=os.environ["CLIENT_SECRET"],
    OIDC_RP_SIGN_ALGO="RS256",
    OIDC_RP_SCOPES="openid profile email",
    OIDC_USE_PKCE=True,
    OIDC_OP_AUTHORIZATION_ENDPOINT=f"{issuer}/oauth/authorize",
    OIDC_OP_TOKEN_ENDPOINT=f"{issuer}/oauth/token",
    OIDC_OP_USER_ENDPOINT=f"{issuer}/oauth/userinfo",
    OIDC_OP_JWKS_ENDPOINT=f"{issuer}/.well-known/jwks.json",
    OIDC_STORE_ID_TOKEN=True,
    OIDC_OP_LOGOUT_URL_METHOD="__main__.logout_url",
)


def logout_url(request):
    query = {"id_token_hint": request.session["oidc_id_token"], "post_logout_redirect_uri": f"{url}/"}
    return f"{issuer}/oauth/logout?{urlencode(query)}"
# docs: end


def home(request):
    if "renew" in request.GET:  # as if the session's fifteen minutes were over
        request.session["oidc_id_token_expiration"] = 0
    return JsonResponse({"email": getattr(request.user, "email", None)})


with project(
    home,
    {"oidc/": "mozilla_django_oidc.urls"},
    apps=["mozilla_django_oidc"],
    middleware=["mozilla_django_oidc.middleware.SessionRefresh"],
    LOGOUT_REDIRECT_URL="/",
    **OIDC,
):
    person = Person()
    assert person.sign_in(f"{url}/oidc/authenticate/").json() == {"email": EMAIL}
    person.follow(f"{url}/?renew")
    renewal = person.browser.get(f"{url}/", allow_redirects=False)
    assert "prompt=none" in renewal.headers["Location"], renewal.headers
    assert person.follow(renewal.headers["Location"]).json() == {"email": EMAIL}

    out = person.browser.post(f"{url}/oidc/logout/", allow_redirects=False)
    assert out.is_redirect, f"{out.status_code} {out.text[:2000]}"
    assert person.follow(out.headers["Location"]).json() == {"email": None}
    assert "/login" in person.follow(f"{url}/oidc/authenticate/").url
