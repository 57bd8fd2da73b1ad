"""What the newest entries hold, counted over a bounded number of them, each value a link that narrows to it."""

from audit import finding, listing

from .pages import text, url
from .register import write

LIST = "audit_event_changelist"


def _facets(answer):
    return {
        parameter: {it.name: it.times for it in values}
        for parameter, (_title, values) in zip(listing.PARAMETERS, answer.context["cl"].facets, strict=True)
    }


def test_values_are_counted(alice_console):
    write(project="a", status="ok"), write(project="a", status="rate_limited"), write(project="b", status="ok")
    found = _facets(alice_console.get(url(LIST), {"source": "gateway"}))
    assert found["project"] == {"a": 2, "b": 1}
    assert found["status"] == {"ok": 2, "rate_limited": 1}


def test_value_narrows_and_frees_again(alice_console):
    write(project="a"), write(project="b")
    first = alice_console.get(url(LIST)).context["cl"].facets[2][1]
    link = next(it.query for it in first if it.name == "a")
    narrowed = alice_console.get(url(LIST) + link).context["cl"]
    assert [it.project for it in narrowed.result_list] == ["a"]
    chosen = narrowed.facets[2][1][0]
    assert chosen.chosen
    assert "project" not in chosen.query


def test_only_the_newest_are_counted(alice_console, monkeypatch):
    monkeypatch.setattr(finding, "FACETS_OVER", 3)
    for _ in range(5):
        write(project="a")
    answer = alice_console.get(url(LIST), {"project": "a"})
    assert _facets(answer)["project"] == {"a": 3}
    assert "newest 3 entries" in text(answer)


def test_text_narrows_the_facets(alice_console):
    write(project="a", source="ui", reason="磁盘已满"), write(project="b", source="ui", reason="other")
    assert _facets(alice_console.get(url(LIST), {"q": "磁盘"}))["project"] == {"a": 1}
