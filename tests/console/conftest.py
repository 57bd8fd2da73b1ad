"""Browsers of the cast, signed in, and a reader of the pages they get."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.test import Client

from controlplane.models import User


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def alice_console(alice_user: User) -> Client:
    return browser_of(alice_user)


@pytest.fixture
def bob_console(bob_user: User) -> Client:
    return browser_of(bob_user)


@pytest.fixture
def vera_console(vera_user: User) -> Client:
    return browser_of(vera_user)


@pytest.fixture
def audrey_console(audrey_user: User) -> Client:
    return browser_of(audrey_user)


@pytest.fixture
def charlie_console(charlie_user: User) -> Client:
    return browser_of(charlie_user)


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """The overview keeps its numbers for some seconds."""
    cache.clear()
    yield
    cache.clear()
