"""The cast: alice owns the installation, bob is staff without rights, charlie is an outsider."""

from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from audit.models import Event
from audit.record import Actor
from controlplane import publish
from controlplane.models import User
from tests import factories, figures


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if figures.TOLD:
        terminalreporter.section("figures")
        for line in figures.TOLD:
            terminalreporter.write_line(line)


def as_actor(user: User) -> Actor:
    """The person as the API would name them."""
    return Actor(
        type="user", id=str(user.pk), name=user.username, source="api", auth_method="token", request_id="r" * 32
    )


@pytest.fixture
def alice_user(db: None) -> User:
    """The owner: a superuser."""
    return factories.UserFactory.create(username="alice", is_staff=True, is_superuser=True)


@pytest.fixture
def bob_user(db: None) -> User:
    """Staff: may look, may change nothing."""
    return factories.UserFactory.create(username="bob", is_staff=True)


@pytest.fixture
def charlie_user(db: None) -> User:
    """An outsider: has an account, is not staff."""
    return factories.UserFactory.create(username="charlie")


@pytest.fixture
def alice(alice_user: User) -> Actor:
    return as_actor(alice_user)


@pytest.fixture
def bob(bob_user: User) -> Actor:
    return as_actor(bob_user)


@pytest.fixture
def charlie(charlie_user: User) -> Actor:
    return as_actor(charlie_user)


@pytest.fixture
def nobody() -> Actor:
    """Somebody who has not signed in."""
    return Actor(type="anonymous", id="", name="", source="api")


@pytest.fixture
def events(db: None) -> Callable[[], list[Event]]:
    """What the register holds by now, oldest first."""
    return lambda: list(Event.objects.order_by("at", "writer_seq"))


@pytest.fixture
def redis() -> Iterator[Redis]:
    """The suite's own Redis, without the gateway's tables before and after."""
    client = publish.redis_client()
    _wipe(client)
    yield client
    _wipe(client)


def _wipe(client: Redis) -> None:
    if keys := list(client.scan_iter("signalbox:gateway:*")):
        client.delete(*keys)
