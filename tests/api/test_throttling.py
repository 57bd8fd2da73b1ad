"""Whoever asks too often waits; others do not. Without Redis nobody does."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings as configured
from redis import Redis

from audit.models import Event
from controlplane.api import throttling
from controlplane.api.throttling import Counter
from controlplane.models import Project, User
from tests.api.conftest import Client, client_of
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nobody_asked_yet() -> Iterator[Redis]:
    client = Redis.from_url(configured.REDIS_URL)
    for key in client.scan_iter("signalbox:api:asked:*"):
        client.delete(key)
    yield client
    client.close()


@pytest.fixture
def few(settings: object) -> None:
    settings.API_REQUESTS_PER_MINUTE = settings.API_STRANGERS_PER_MINUTE = 3  # type: ignore[attr-defined]


@pytest.mark.usefixtures("few")
def test_one_too_many_is_told_how_long_to_wait(alice_api: Client) -> None:
    assert [alice_api.get("/models").status_code for _ in range(3)] == [200] * 3
    response = alice_api.get("/models")
    assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
    assert response["Content-Type"] == "application/problem+json"
    assert 55 <= int(response["Retry-After"]) <= 65


@pytest.mark.usefixtures("few")
def test_limited_change_changes_nothing(alice_api: Client, events: Callable[[], list[Event]]) -> None:
    for _ in range(3):
        alice_api.get("/models")
    assert alice_api.post("/projects", {"name": "p"}).status_code == 429
    assert not Project.objects.exists()
    assert events() == []


@pytest.mark.usefixtures("few")
def test_others_are_not_held_up(alice_api: Client, alice_user: User) -> None:
    del alice_user
    for _ in range(4):
        alice_api.get("/models")
    assert client_of(UserFactory(username="dora", is_superuser=True)).get("/models").status_code == 200


@pytest.mark.usefixtures("few")
def test_second_token_of_one_person_is_no_second_allowance(alice_api: Client, alice_user: User) -> None:
    for _ in range(3):
        alice_api.get("/models")
    console = Client()
    console.force_login(alice_user)
    assert console.get("/models").status_code == 429


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer sbm_wrong"}])
def test_strangers_are_counted_by_address(anonymous_api: Client, header: dict[str, str]) -> None:
    assert [anonymous_api.get("/models", headers=header).status_code for _ in range(4)] == [401, 401, 401, 429]
    assert anonymous_api.get("/models", headers=header, REMOTE_ADDR="192.0.2.7").status_code == 401


@pytest.mark.usefixtures("few")
def test_strangers_hold_up_nobody_who_is_known(anonymous_api: Client, alice_api: Client) -> None:
    for _ in range(5):
        anonymous_api.get("/models")
    assert alice_api.get("/models").status_code == 200


@pytest.mark.usefixtures("few")
def test_who_may_nothing_is_counted_too(charlie_api: Client) -> None:
    assert [charlie_api.get("/models").status_code for _ in range(4)] == [403, 403, 403, 429]


@pytest.mark.parametrize(("age", "refused"), [(0, True), (11, True), (12, True), (13, False)])
def test_minute_counts_whole_with_its_partly_expired_part(nobody_asked_yet: Redis, age: int, refused: bool) -> None:
    now = int(nobody_asked_yet.time()[0]) // 5
    nobody_asked_yet.hset("signalbox:api:asked:x", str(now - age), 3)
    wait = Counter(configured.REDIS_URL).take("x", 3)
    if int(nobody_asked_yet.time()[0]) // 5 == now:  # no bucket began meanwhile
        assert bool(wait) == refused


def test_without_redis_everybody_is_let_in(alice_api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Counter("redis://127.0.0.1:9/0")
    monkeypatch.setattr(throttling, "counter", lambda _url: gone)
    assert [alice_api.get("/models").status_code for _ in range(3)] == [200] * 3


def test_redis_that_hangs_is_asked_once(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        hanging = Counter(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
        assert [hanging.take("x", 1) for _ in range(50)] == [0] * 50
    assert len([line for line in caplog.messages if "not counted" in line]) == 1
    assert hanging._silent_until > time.monotonic() - 60
