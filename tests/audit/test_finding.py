"""Texts are found in operation, target, actor and reason, in any language, page by page, and behind the wall."""

from datetime import timedelta

import pytest
from django.db import connection

from audit.finding import Found, Selection, find
from audit.listing import Place, older_than
from audit.models import Event
from tests.console.register import NOON, write

pytestmark = pytest.mark.django_db


def _found(**asked) -> list[str]:
    """Request ids, the newest first."""
    rows = find(Event.objects.all(), Selection(**asked)).order_by("-at", "-id")[:50]
    return [it.request_id for it in rows]


def _managed(**fields):
    return write(**{"kind": "management", "source": "ui", "operation": "deployment.scaled", **fields})


@pytest.mark.parametrize(
    "text", ["scaled", "LLAMA", "llama-3", "week", "weekend sale", "周末促销", "促销", "促", "alic", "deployment.s"]
)
def test_part_of_a_text(text):
    _managed(request_id="it", target_name="Llama-3-8b", reason="the weekend sale 周末促销", actor_name="alice")
    _managed(request_id="other", operation="route.changed", target_name="qwen", reason="平日", actor_name="bob")
    assert _found(text=text) == ["it"]


@pytest.mark.parametrize("text", ["%", "_", "l%a", "\\", "'", "';--", "{}", '"'])
def test_wildcards_and_quotes_are_plain(text):
    _managed(request_id="it", target_name="llama", reason="no such sign")
    assert _found(text=text) == []
    _managed(request_id="has", reason=f"a{text}b")
    assert _found(text=text) == ["has"]


def test_operation_of_requests_by_a_part_of_its_name():
    write(request_id="it", operation="inference.embedding")
    write(request_id="other", operation="inference.chat")
    assert _found(text="embed") == ["it"]


def test_other_filters_hold_too():
    _managed(request_id="a", project="a", reason="sale"), _managed(request_id="b", project="b", reason="sale")
    assert _found(text="sale", project="b") == ["b"]
    assert _found(text="sale", since=NOON + timedelta(days=999)) == []


def test_pages_meet_without_gap_or_overlap():
    for number in range(23):
        _managed(request_id=f"r{number}", reason="sale", at=NOON + timedelta(seconds=number // 4))
    found, place = [], None
    while True:
        events = find(Event.objects.all(), Selection(text="sale"))
        rows = (older_than(events, place) if place else events).order_by("-at", "-id")[:5]
        if not rows:
            break
        found += [it.request_id for it in rows]
        place = Place(rows[-1].at, rows[-1].id)
    assert len(found) == len(set(found)) == 23


def test_row_found_twice_is_shown_once():
    write(request_id="chat", operation="inference.chat", target_name="chat", actor_name="chat")
    assert _found(text="chat") == ["chat"]


def test_search_builds_the_wall_itself():
    _managed(request_id="a", project="a", reason="sale"), _managed(request_id="b", project="b", reason="sale")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL signalbox.events_of = 'a'")
        cursor.execute("SELECT audit_search('sale', '{}', NULL, NULL, true, 100)")
        assert len(cursor.fetchall()) == 1
        cursor.execute("SET LOCAL signalbox.events_of = ''")
        cursor.execute("SELECT audit_search('sale', '{}', NULL, NULL, true, 100)")
        assert cursor.fetchall() == []


def test_a_mebibyte_of_text_is_taken_and_found_by_its_beginning():
    _managed(request_id="it", reason="促销开始" + "长" * (1 << 20))
    assert _found(text="促销开始") == ["it"]


def test_selection_survives_json():
    whole = Selection(since=NOON, until=NOON + timedelta(1), project="p", text="促销")
    assert Selection.from_plain(whole.plain()) == whole


def test_without_a_text_it_is_a_query():
    assert not isinstance(find(Event.objects.all(), Selection(project="p")), Found)
