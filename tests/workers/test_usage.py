"""The register is rolled up into usage by day: each outcome once, late ones too, whoever counts and however often."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import Seal, SealerLease
from controlplane.models import Project, Usage, UsageProgress
from inference.contract.budgets import Price
from inference.contract.events import COPY_STATEMENT, Event, pack_copy, pack_row
from inference.contract.ids import uuid7
from tests import factories
from tests.audit import seals as real
from workers.tasks import usage
from workers.tasks.usage import roll_up

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def project() -> Project:
    found: Project = factories.ProjectFactory(name="alpha")
    return found


def outcome(writer: str, number: int, **fields: Any) -> Event:
    common = {
        "id": uuid7(), "kind": "outcome", "operation": "inference.chat", "project": "alpha", "writer": writer,
        "writer_seq": number, "actor_type": "api_key", "actor_id": "k1", "actor_name": "app", "at": NOON,
        "route": "chat", "model_version": "m:v1", "prompt_tokens": 10, "completion_tokens": 5, "status": "ok",
        "status_code": 200,
    }  # fmt: skip
    return Event(**common | fields)


def write(*events: Event) -> None:
    """As the gateway does."""
    with connection.cursor() as cursor, cursor.copy(COPY_STATEMENT) as copy:
        copy.write(pack_copy(pack_row(one) for one in events))


def seal(*events: Event) -> None:
    """Bind them by the next seal, each by a run of its own."""
    lease, _ = SealerLease.objects.get_or_create(pk=1, defaults={"epoch": 1, "until": NOON})
    last = Seal.objects.first()
    times = [one.at for one in events]
    Seal.objects.create(
        number=(last.number if last else 0) + 1, epoch=lease.epoch, sealed_at=NOON, count=len(events), total=0,
        ranges=[[one.writer, one.writer_seq, one.writer_seq] for one in events], first_at=min(times, default=None),
        last_at=max(times, default=None), root=b"", prev=last.hash if last else bytes(32),
        hash=hashlib.sha256(str(uuid7()).encode()).digest(), leaves=b"",
    )  # fmt: skip


def commit(*events: Event) -> None:
    write(*events)
    seal(*events)


def sums() -> dict[str, int]:
    return {name: sum(getattr(row, name) for row in Usage.objects.all()) for name in
            ("requests", "failed", "prompt_tokens", "completion_tokens", "cost_micros")}  # fmt: skip


def test_outcomes_are_counted(project: Project) -> None:
    commit(outcome("w", 1), outcome("w", 2, status="upstream_failed", status_code=502, completion_tokens=None))
    roll_up()
    row = Usage.objects.get()
    assert (row.day, row.project, row.project_name, row.key_id, row.key_name, row.route, row.version) == (
        date(2026, 11, 22), project, "alpha", "k1", "app", "chat", "m:v1",
    )  # fmt: skip
    assert sums() == {
        "requests": 2, "failed": 1, "prompt_tokens": 20, "completion_tokens": 5, "cost_micros": 0,
    }  # fmt: skip


def test_client_that_left_is_no_failure(project: Project) -> None:
    commit(outcome("w", 1, status="client_closed", status_code=499))
    roll_up()
    assert (sums()["requests"], sums()["failed"]) == (1, 0)


def test_only_outcomes_count(project: Project) -> None:
    commit(outcome("w", 1, kind="intent"), outcome("w", 2, kind="security"), outcome("w", 3))
    roll_up()
    assert sums()["requests"] == 1


def test_nothing_is_counted_twice(project: Project) -> None:
    commit(outcome("w", 1))
    roll_up()
    roll_up()
    assert sums()["requests"] == 1


def test_what_is_not_sealed_waits(project: Project) -> None:
    late = outcome("w", 1)
    write(late)
    roll_up()
    assert sums()["requests"] == 0
    seal(late)
    roll_up()
    assert sums()["requests"] == 1


def test_late_entry_is_added_to_its_day(project: Project) -> None:
    """From a spool, a day later, from a writer that is long gone."""
    commit(outcome("w", 1), outcome("w", 3))
    roll_up()
    commit(outcome("x", 7, at=NOON + timedelta(days=1)), outcome("w", 2, at=NOON - timedelta(days=1)))
    roll_up()
    assert dict(Usage.objects.values_list("day", "requests")) == {
        date(2026, 11, 21): 1, date(2026, 11, 22): 2, date(2026, 11, 23): 1,
    }  # fmt: skip


def test_day_is_that_of_the_instance(project: Project, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Shanghai"
    commit(outcome("w", 1, at=datetime(2026, 11, 22, 16, tzinfo=UTC)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('TimeZone', 'UTC', true)")
    roll_up()
    assert Usage.objects.get().day == date(2026, 11, 23)


def test_key_is_named_as_it_was_last(project: Project) -> None:
    commit(outcome("w", 1, actor_name="new", at=NOON + timedelta(hours=1)), outcome("w", 2, actor_name="old"))
    roll_up()
    assert Usage.objects.get().key_name == "new"


def test_project_that_nobody_knows_is_counted(db: None) -> None:
    commit(outcome("w", 1, project="gone"))
    roll_up()
    assert (Usage.objects.get().project, Usage.objects.get().project_name) == (None, "gone")


def test_what_the_sealer_binds_is_counted_once(project: Project) -> None:
    """Number 2 waits in a spool and arrives when 3 is counted already."""
    write(outcome("w", 1), outcome("w", 3))
    real.seal()
    roll_up()
    assert sums()["requests"] == 2
    write(outcome("w", 2), outcome("w", 4, kind="intent"), outcome("w", 5))
    real.seal()
    roll_up()
    roll_up()
    assert sums()["requests"] == 4


@given(
    tokens=st.lists(
        st.tuples(st.none() | st.integers(0, 2**31 - 1), st.none() | st.integers(0, 2**31 - 1)), min_size=1, max_size=5
    ),
    prices=st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cost_is_what_the_gateway_counts(
    tokens: list[tuple[int | None, int | None]], prices: tuple[int, int], db: None
) -> None:
    with transaction.atomic():
        version = factories.VersionFactory(prompt_price_micros=prices[0], completion_price_micros=prices[1])
        commit(*(
            outcome("w", n, model_version=str(version), prompt_tokens=asked, completion_tokens=answered)
            for n, (asked, answered) in enumerate(tokens, 1)
        ))  # fmt: skip
        roll_up()
        expected = sum(Price(*prices).of(asked or 0, answered or 0) for asked, answered in tokens)
        assert sums()["cost_micros"] == expected
        transaction.set_rollback(True)


def test_later_price_changes_no_day(project: Project) -> None:
    version = factories.VersionFactory(prompt_price_micros=1_000_000)
    commit(outcome("w", 1, model_version=str(version)))
    roll_up()
    version.prompt_price_micros = 5_000_000
    version.save()
    commit(outcome("w", 2, model_version=str(version)))
    roll_up()
    assert sums()["cost_micros"] == 10 + 50


def test_many_seals_are_counted_in_parts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "BATCH", 2)
    for n in range(1, 8):
        commit(outcome("w", n))
    seal()  # one that binds nothing
    roll_up()
    assert (sums()["requests"], UsageProgress.objects.get().seal) == (7, 8)


@pytest.fixture
def other_session() -> Iterator[Any]:
    """Of the same role in the same database."""
    made = connections.create_connection("default")
    made.settings_dict["NAME"] = connection.settings_dict["NAME"]
    yield made
    made.close()


@pytest.mark.django_db(transaction=True)
def test_two_never_count_the_same(project: Project, other_session: Any) -> None:
    """Another worker is at it, in a transaction of its own: this one leaves it to that one."""
    UsageProgress.objects.create(pk=1)
    commit(outcome("w", 1))
    other_session.set_autocommit(False)
    with other_session.cursor() as cursor:
        cursor.execute("SELECT * FROM controlplane_usageprogress WHERE id = 1 FOR UPDATE")
    roll_up()
    assert sums()["requests"] == 0
    other_session.rollback()
    roll_up()
    assert sums()["requests"] == 1


def test_one_that_dies_on_the_way_leaves_all_to_the_next(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(outcome("w", 1))
    save = UsageProgress.save
    monkeypatch.setattr(UsageProgress, "save", lambda *_args, **_more: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        roll_up()
    monkeypatch.setattr(UsageProgress, "save", save)
    assert sums()["requests"] == 0
    roll_up()
    assert sums()["requests"] == 1
