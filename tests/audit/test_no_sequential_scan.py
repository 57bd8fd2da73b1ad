"""Whatever the register is asked meets an index: no plan reads a month from one end to the other."""

import re
from collections.abc import Iterator

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from audit.finding import Selection, facets, find
from audit.listing import Place, older_than
from audit.models import Event
from audit.story import of_request
from bench.register_finding import QUESTIONS, fill_statement
from controlplane.database_rights import owner_alias
from inference.contract.ids import uuid7
from tests.register_wiping import FORBID, LET

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 30_000
ASKED = [
    {"project": "project-7"}, {"kind": "management"}, {"kind": "intent"}, {"operation": "api_key.revoked"},
    {"operation": "inference.rerank"}, {"actor_name": "person-31"}, {"actor_id": "key-77"},
    {"target_name": "model-13"}, {"target_id": "model-13", "target_type": "route"}, {"status": "upstream_broke"},
    {"status": "rate_limited", "project": "project-7"}, {"source": "cli"}, {"request_id": "req-1"},
    {"text": "促销"}, {"text": "planned"}, {"text": "nowhere"}, {"text": "planned", "project": "project-10"}, {},
]  # fmt: skip


@pytest.fixture
def filled() -> Iterator[None]:
    """A register with statistics, made as the benchmark makes its own."""
    with connections[owner_alias()].cursor() as cursor:
        cursor.execute(fill_statement(ROWS, 0, ROWS).replace("%", "%%"), [])
        cursor.execute("ANALYZE audit_event")
    yield
    with connections[owner_alias()].cursor() as cursor:
        cursor.execute(f"{LET} TRUNCATE audit_event; {FORBID}")
        cursor.execute("ANALYZE audit_event")


def plans(statements: list[str]) -> list[str]:
    """Of the SELECTs on the register, as the processes' role gets them."""
    found = []
    with connection.cursor() as cursor:
        for sql in statements:
            if '"audit_event"' in sql and sql.startswith("SELECT"):
                cursor.execute("EXPLAIN " + sql.replace("%", "%%"), [])
                found.append("\n".join(row[0] for row in cursor.fetchall()))
    return found


def read_whole(plan: str) -> list[str]:
    """Partitions with rows of which the plan reads all."""
    scans = re.findall(r"Seq Scan on (\w+)", plan)
    return [name for name in scans if rows_in(name)]


def rows_in(partition: str) -> int:
    with connections[owner_alias()].cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = %s", [partition])
        return max(0, int(cursor.fetchone()[0]))


def test_every_question_meets_an_index(filled: None) -> None:
    place = Place(Event.objects.order_by("-at")[100].at, uuid7())
    with CaptureQueriesContext(connection) as captured:
        for asked in ASKED:
            events = find(Event.objects.all(), Selection(**asked))
            list(events.order_by("-at", "-id")[:51])
            list(older_than(events, place).order_by("-at", "-id")[:51])
            facets(Event.objects.all(), Selection(**asked))
        of_request(Event.objects.all(), "req-1")
    found = plans([query["sql"] for query in captured])
    assert len(found) > 3 * len(ASKED)
    assert [plan for plan in found if read_whole(plan)] == []


def test_search_below_the_wall_meets_an_index(filled: None) -> None:
    """The function's own queries are not in a plan of ours: what they read of the tables is counted instead."""
    with transaction.atomic():
        before = scanned()
        for asked in ASKED:
            if "text" in asked:
                list(find(Event.objects.all(), Selection(**asked)).order_by("-at", "-id")[:51])
        assert scanned() == before


def scanned() -> int:
    """Rows of the register that sequential scans of this transaction have read."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname LIKE 'audit_event%%'")
        return int(cursor.fetchone()[0] or 0)


def test_benchmark_asks_what_is_asked_here() -> None:
    named = {part.partition("=")[0] for query in QUESTIONS.values() for part in query.split("&") if part}
    assert named - {"since", "until"} <= {*Selection.__dataclass_fields__, "search"}
