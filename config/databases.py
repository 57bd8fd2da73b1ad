"""URLs of PostgreSQL and Redis in the forms that Django, Celery and libpq each want."""

from typing import Any
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict

_DJANGO_NAMES = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def django_database(url: str) -> dict[str, Any]:
    """A libpq connection URI as an entry of Django's DATABASES; unknown parameters go to OPTIONS.

    Raises `psycopg.ProgrammingError` for a URI that libpq does not understand.
    """
    parts = conninfo_to_dict(url)
    settings: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {}}
    for name, value in parts.items():
        if name in _DJANGO_NAMES:
            settings[_DJANGO_NAMES[name]] = str(value)
        else:
            settings["OPTIONS"][name] = value
    return settings


def celery_broker(url: str) -> str:
    """A redis-py URL as kombu writes it: ``unix:///path`` becomes ``redis+socket:///path``."""
    if urlsplit(url).scheme == "unix":
        return "redis+socket://" + url.removeprefix("unix://").split("?")[0]
    return url
