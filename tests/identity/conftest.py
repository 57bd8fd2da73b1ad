"""People who sign in with a password."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client as Browser

from controlplane.models import User
from tests.api.conftest import Client, client_of
from tests.console.conftest import browser_of

PASSWORD = "correct horse battery staple"


ARGON2 = "django.contrib.auth.hashers.Argon2PasswordHasher"
QUICK = "django.contrib.auth.hashers.MD5PasswordHasher"


@pytest.fixture(autouse=True)
def quick_hashing(settings: Any) -> None:
    """Argon2 takes its time on purpose, and dozens of attempts are not about hashing."""
    settings.PASSWORD_HASHERS = [QUICK, ARGON2]


@pytest.fixture
def dora(db: None) -> User:
    """Somebody with a password of her own, who may do everything."""
    return User.objects.create(username="dora", password=make_password(PASSWORD), is_staff=True, is_superuser=True)


@pytest.fixture
def anybody(db: None) -> Client:
    """A client of the management API without a credential."""
    return Client()


@pytest.fixture
def alice_api(alice_user: User) -> Client:
    return client_of(alice_user)


@pytest.fixture
def bob_api(bob_user: User) -> Client:
    return client_of(bob_user)


@pytest.fixture
def alice_console(alice_user: User) -> Browser:
    return browser_of(alice_user)


@pytest.fixture
def sign_in(anybody: Client) -> Callable[..., Any]:
    """``POST /auth/token``."""

    def post(username: str = "dora", password: str = PASSWORD, **more: Any) -> Any:
        return anybody.post("/auth/token", {"username": username, "password": password}, **more)

    return post
