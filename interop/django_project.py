"""A Django project of one file, served while the block runs."""

import os
from contextlib import contextmanager

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

from server import serve

CONTRIB = ("auth", "contenttypes", "sessions", "messages")


@contextmanager
def project(home, urls, *, apps, middleware=(), **options):
    """`home` is the view at `/`, and `urls` has the packages' URLs by prefix."""
    settings.configure(
        SECRET_KEY="of this test",
        ALLOWED_HOSTS=["localhost"],
        INSTALLED_APPS=[*(f"django.contrib.{name}" for name in CONTRIB), *apps],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            *middleware,
        ],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": f"{os.environ['WORK']}/{os.environ['CLIENT_ID']}.db",
                "OPTIONS": {"init_command": "PRAGMA synchronous = OFF"},
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
        LOGIN_REDIRECT_URL="/",
        **options,
    )
    django.setup()
    included = [path(prefix, include(name)) for prefix, name in urls.items()]
    settings.ROOT_URLCONF = (path("", home), *included)
    call_command("migrate", verbosity=0)
    with serve(get_wsgi_application()):
        yield
