"""The cast: alice owns the platform, bob operates it, vera may look, audrey audits, charlie is an outsider."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from django.test.utils import setup_databases, teardown_databases
from django.utils import translation
from redis import Redis

from audit import numbering
from audit.models import Event
from audit.record import Actor
from controlplane import publish
from controlplane.access import scope
from controlplane.models import Project, User
from controlplane.roles import Role
from tests import factories, figures, register_wiping, strict_requests

scope.see_all()  # what a test looks at for itself; requests see what they may
register_wiping.let_tests_clear_away()
settings.WHITENOISE_AUTOREFRESH = True  # else each test client begins with reading all static files
scope.of_request = strict_requests.begin_with_nothing(scope.of_request)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a test commits is cleared away by the tables' owner: the processes' role may not."""
    for item in items:
        mark = item.get_closest_marker("django_db")
        commits = bool(mark and mark.kwargs.get("transaction"))
        if commits or {"transactional_db", "live_server"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.django_db(transaction=True, databases=list(connections)), append=False)


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: Any) -> Iterator[None]:
    """The test database is made and migrated by the tables' owner; tests are in it as the processes' role."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False)
    yield
    with django_db_blocker.unblock():
        connections.close_all()
        teardown_databases(made, verbosity=0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # of pytest-xdist
        session.config.workeroutput["figures"] = figures.TOLD


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker's tests measured is told with the others'."""
    figures.TOLD.extend(node.workeroutput.get("figures", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if figures.TOLD:
        terminalreporter.section("figures")
        for line in figures.TOLD:
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _new_writers() -> None:
    """The register is emptied after tests that commit: who has written there would seem to have lost its rows."""
    numbering._free.clear()


@pytest.fixture(autouse=True)
def _language() -> Iterator[None]:
    """A request of a test client leaves its language in the thread, and what comes next would be answered in it."""
    yield
    translation.deactivate()


def as_actor(user: User) -> Actor:
    """The person as the API would name them."""
    return Actor(
        type="user", id=str(user.pk), name=user.username, source="api", auth_method="token", request_id="r" * 32
    )


def member(name: str, role: Role, project: Project | None = None) -> User:
    """A person with one role, on a project or on the platform."""
    user = factories.UserFactory.create(username=name, is_staff=True)
    factories.BindingFactory.create(user=user, role=role, project=project)
    return user


@pytest.fixture
def alice_user(db: None) -> User:
    """Owns the platform, by her role."""
    return member("alice", Role.OWNER)


@pytest.fixture
def bob_user(db: None) -> User:
    """Operates what is served on the whole platform."""
    return member("bob", Role.OPERATOR)


@pytest.fixture
def vera_user(db: None) -> User:
    """May look at what is served on the whole platform, and change nothing."""
    return member("vera", Role.VIEWER)


@pytest.fixture
def audrey_user(db: None) -> User:
    """Reads and exports the whole register, and nothing else."""
    return member("audrey", Role.AUDITOR)


@pytest.fixture
def charlie_user(db: None) -> User:
    """An outsider: has an account, holds nothing, is not let into the console."""
    return factories.UserFactory.create(username="charlie")


@pytest.fixture
def alice(alice_user: User) -> Actor:
    return as_actor(alice_user)


@pytest.fixture
def bob(bob_user: User) -> Actor:
    return as_actor(bob_user)


@pytest.fixture
def vera(vera_user: User) -> Actor:
    return as_actor(vera_user)


@pytest.fixture
def audrey(audrey_user: User) -> Actor:
    return as_actor(audrey_user)


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
