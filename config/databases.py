"""URLs of PostgreSQL and Redis in the forms that Django, Celery and libpq each want."""

from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import psycopg
import redis
from psycopg.conninfo import conninfo_to_dict

_DJANGO_NAMES = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
LIVENESS = {
    "connect_timeout": "30", "tcp_user_timeout": "15000",
    "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3",
}  # fmt: skip
"""libpq's: a server behind a cut line is given up after half a minute, and what waits for it says so"""


def django_database(url: str) -> dict[str, Any]:
    """A libpq connection URI as an entry of Django's DATABASES; unknown parameters go to OPTIONS, before our own.

    Raises `psycopg.ProgrammingError` for a URI that libpq does not understand.
    """
    parts = conninfo_to_dict(url)
    settings: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": dict(LIVENESS)}
    for name, value in parts.items():
        if name in _DJANGO_NAMES:
            settings[_DJANGO_NAMES[name]] = str(value)
        else:
            settings["OPTIONS"][name] = value
    return settings


def celery_broker(url: str) -> str:
    """A redis-py URL as kombu writes it: ``unix:///path?db=1`` becomes ``redis+socket:///path?virtual_host=1``."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    asked = parse_qs(parts.query)
    database = asked.get("db", [""])[0]
    user = unquote(parts.username or asked.get("username", [""])[0])
    password = unquote(parts.password or "") or asked.get("password", [""])[0]
    who = f"{quote(user, safe='')}:{quote(password, safe='')}@" if password else ""
    return f"redis+socket://{who}{parts.path}" + (f"?virtual_host={database}" if database else "")


class ServerAwayError(Exception):
    """PostgreSQL or Redis does not answer at the URL that was given."""


def check_servers(database_url: str, redis_url: str) -> None:
    """Connect to both once. Raises `ServerAwayError` with one line that names the variable to mend."""
    try:
        psycopg.connect(database_url, connect_timeout=5).close()
    except psycopg.Error as exc:
        words = str(exc).strip().splitlines() or [type(exc).__name__]
        raise ServerAwayError(f"PostgreSQL does not answer: {words[-1]}. Mend it, or DATABASE_URL.") from exc
    try:
        with redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=5) as client:
            client.ping()
    except (redis.RedisError, ValueError) as exc:
        raise ServerAwayError(f"Redis does not answer: {exc}. Mend it, or REDIS_URL.") from exc
