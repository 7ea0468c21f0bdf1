"""django-oauth-toolkit on PostgreSQL: rotating refresh tokens for one confidential client.

`python django_oauth_toolkit.py COUNT` makes the tables and prints so many refresh tokens, one a line;
`gunicorn django_oauth_toolkit:application` serves.
"""

import os
import sys
from datetime import timedelta

import django
from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY="only for a benchmark",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "django",
            "USER": "postgres",
            "HOST": "127.0.0.1",
            "PORT": os.environ["DATABASE_PORT"],
            "CONN_MAX_AGE": None,
        }
    },
    OAUTH2_PROVIDER={"ROTATE_REFRESH_TOKEN": True, "ACCESS_TOKEN_EXPIRE_SECONDS": 300, "SCOPES": {"read": "read"}},
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.utils import timezone  # noqa: E402

urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("ready", lambda request: HttpResponse("ok")),
]

if __name__ == "__main__":
    from oauth2_provider.models import AccessToken, Application, RefreshToken

    call_command("migrate", verbosity=0)
    app = Application.objects.create(
        client_id=os.environ["CLIENT_ID"],
        client_secret=os.environ["CLIENT_SECRET"],
        # Random enough to be kept as it is: hashing it anew at each call would be all that is measured.
        hash_client_secret=False,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="http://localhost:9/callback",
    )
    for number in range(int(sys.argv[1])):
        user = User.objects.create(username=f"user-{number}")
        expires = timezone.now() + timedelta(minutes=5)
        access = AccessToken.objects.create(user=user, application=app, token=f"at-{number}", expires=expires, scope="read")
        token = RefreshToken.objects.create(user=user, application=app, token=f"rt-{number}", access_token=access)
        print(token.token)
else:
    application = get_wsgi_application()
