import hashlib
from datetime import timedelta

import pytest

from audit import admin as audit_admin
from audit.listing import EventList, Place, place_from
from audit.models import Event
from audit.operations import Operation
from inference.contract.ids import uuid7

from .pages import text, url
from .register import NOON, write

LIST = "audit_event_changelist"


def _shown(console, **query) -> list[str]:
    """Request ids on the page, in its order."""
    return _requests(console.get(url(LIST), query))


def _requests(answer) -> list[str]:
    """The entry of the reader's own signing in is not in the way."""
    return [it.request_id for it in answer.context["cl"].result_list if it.operation != Operation.USER_SIGNED_IN]


def test_newest_comes_first(alice_console):
    write(request_id="first"), write(request_id="second")
    assert _shown(alice_console) == ["second", "first"]


def test_pages_meet_without_gap_or_overlap(alice_console, monkeypatch):
    monkeypatch.setattr(audit_admin.EventAdmin, "list_per_page", 7)
    moment = NOON + timedelta(days=1)
    written = [write(request_id=f"r{n}", at=moment + timedelta(seconds=n // 5)).request_id for n in range(25)]
    seen, path = [], url(LIST)
    while path:
        answer = alice_console.get(path)
        seen += _requests(answer)
        older = answer.context["cl"].older
        path = older and url(LIST) + older
    assert sorted(seen) == sorted(written)
    assert len(seen) == len(written)


def test_filters_stay_on_the_next_page(alice_console, monkeypatch):
    monkeypatch.setattr(audit_admin.EventAdmin, "list_per_page", 1)
    for project in ("a", "b", "a"):
        write(project=project)
    older = alice_console.get(url(LIST), {"project": "a"}).context["cl"].older
    assert [it.project for it in alice_console.get(url(LIST) + older).context["cl"].result_list] == ["a"]


def test_nothing_counts_the_register(alice_console, django_assert_max_num_queries):
    write()
    with django_assert_max_num_queries(13) as queries:
        alice_console.get(url(LIST))
    assert not [it["sql"] for it in queries.captured_queries if "COUNT(" in it["sql"].upper()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"project": "billing"}, ["p"]),
        ({"operation": "inference.completion"}, ["o"]),
        ({"kind__exact": "intent"}, ["k"]),
        ({"actor": "carol"}, ["a"]),
        ({"target": "llama"}, ["t"]),
        ({"target": "deployment:77"}, ["d"]),
        ({"at_from_0": "2027-01-01", "at_from_1": "00:00:00", "at_to_0": "2027-01-02", "at_to_1": "00:00:00"}, ["w"]),
        ({"status": "rate_limited"}, ["s"]),
        ({"source": "worker"}, ["u"]),
        ({"project": "billing", "actor": "carol"}, []),
    ],
)
def test_filters_narrow(query, expected, alice_console):
    write(request_id="p", project="billing"), write(request_id="o", operation="inference.completion")
    write(request_id="k", kind="intent"), write(request_id="a", actor_name="carol")
    write(request_id="t", target_name="llama"), write(request_id="d", target_type="deployment", target_id="77")
    write(request_id="s", status="rate_limited"), write(request_id="u", source="worker")
    write(request_id="w", at=NOON.replace(year=2027, month=1, day=1))
    assert _shown(alice_console, **query) == expected


@pytest.mark.parametrize("term", ["req-1", "inference.completion", "llama", "carol"])
def test_search_finds_requests_by_whole_names(term, alice_console):
    write(request_id="req-1", operation="inference.completion", target_name="llama", actor_name="carol")
    write(request_id="req-11", target_name="llama-2", actor_name="caroline")
    assert _shown(alice_console, q=term) == ["req-1"]


@pytest.mark.parametrize(
    "query",
    [{"before": "nonsense"}, {"before": "\x00"}, {"q": "\x00"}, {"project": "\x00"}, {"at_from_0": "soon"}, {"x": "1"}],
)
def test_nonsense_breaks_nothing(query, alice_console):
    assert alice_console.get(url(LIST), query).status_code in {200, 302}


def test_place_reads_what_it_writes():
    place = Place(NOON, uuid7())
    assert place_from(str(place)) == place
    assert place_from("2026-11-03T12:00:00_x") is None


_count = EventList._count_facets


def _slowly(found):
    list(found.queryset.extra(where=["pg_sleep(1) IS NOT NULL"]))


def test_slow_question_ends(alice_console, monkeypatch):
    monkeypatch.setattr(audit_admin, "PATIENCE_MS", 300)
    monkeypatch.setattr(EventList, "_count_facets", lambda it: _slowly(it) if it.query else _count(it))
    write()
    answer = alice_console.get(url(LIST), {"q": "slow"}, follow=True)
    assert "Narrow the time range" in text(answer)


def _page(console, event):
    return text(console.get(url("audit_event_change", event.id)))


def test_entry_tells_who_what_when_where_why_how(alice_console):
    event = write(
        actor_name="billing-bot", source_ip="2001:db8::7", reason="month end", client="openai-python/2.8", host="gw-1",
        model_version="qwen3:1", prompt_tokens=23, completion_tokens=42, status_code=200,
    )  # fmt: skip
    page = "".join(_page(alice_console, event).split())
    for answer in ("billing-bot", "2001:db8::7", "monthend", "openai-python/2.8", "gw-1", "qwen3:1", ">23<", ">42<"):
        assert answer in page


def test_entry_shows_changes_and_digests(alice_console):
    digest = hashlib.sha256(b"x").digest()
    event = write(kind="management", operation="deployment.scaled", changes={"replicas": [1, 3]}, input_digest=digest)
    page = _page(alice_console, event)
    assert "<code>1</code>" in page
    assert "<code>3</code>" in page
    assert digest.hex() in page


def test_entry_shows_the_whole_request(alice_console):
    intent = write(kind="intent", request_id="story", status="accepted")
    outcome = write(kind="outcome", request_id="story", status="upstream_broke", status_code=502)
    for event in (intent, outcome):
        page = _page(alice_console, event)
        assert str(intent.id) in page
        assert "upstream_broke" in page


def test_entry_is_escaped(alice_console):
    assert "<script>alert" not in _page(alice_console, write(actor_name="<script>alert(1)</script>", reason="<b>x</b>"))


@pytest.mark.parametrize("verb", ["delete", "change", "history"])
def test_register_cannot_be_changed_here(verb, alice_console):
    event = write()
    for page in (f"/console/audit/event/{event.id}/{verb}/", "/console/audit/event/add/"):
        assert alice_console.post(page, {"post": "yes"}).status_code in {301, 302, 403, 404}
    assert Event.objects.filter(pk=event.id).exists()
