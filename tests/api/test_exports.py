"""``/audit/exports``: ordered, watched, fetched by links that expire and are nobody else's, cancelled."""

import gzip
from datetime import timedelta

import pytest
from django.core import signing
from django.utils import timezone

from audit.models import Event
from audit.operations import Operation
from controlplane.models import Export
from controlplane.roles import Role
from tests import factories
from tests.api.conftest import client_of
from tests.conftest import member
from tests.console.register import write
from workers.exports import write_next

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def directory(tmp_path, settings):
    settings.EXPORTS_DIR = tmp_path


def _done(api, **body):
    made = api.post("/audit/exports", body)
    assert made.status_code == 201, made.content
    write_next()
    return api.get(f"/audit/exports/{made.json()['id']}").json()


def _bytes(answer):
    return b"".join(answer.streaming_content)


def test_ordered_written_fetched(audrey_api):
    write(reason="the one", source="ui"), write()
    export = _done(audrey_api, filter={"search": "the one"})
    assert (export["state"], export["rows"], export["progress"]) == ("done", 1, 100)
    files = {it["name"]: it for it in export["files"]}
    assert sorted(files) == ["content", "leaves", "manifest", "signature"]
    answer = audrey_api.get(files["content"]["url"])
    assert b"the one" in gzip.decompress(_bytes(answer))
    assert answer["Content-Disposition"].endswith('.jsonl.gz"')
    assert Event.objects.filter(operation=Operation.EXPORT_DOWNLOADED, actor_name="audrey").count() == 1


def test_link_is_nobody_else_s(audrey_api, alice_api):
    link = _done(audrey_api)["files"][0]["url"]
    refused = alice_api.get(link)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_the_requester")
    assert alice_api.get(link.split("/download")[0]).json()["files"] == []


def test_link_expires(audrey_api, monkeypatch):
    link = _done(audrey_api)["files"][0]["url"]
    now = signing.time.time()
    monkeypatch.setattr(signing.time, "time", lambda: now + 601)
    refused = audrey_api.get(link)
    assert (refused.status_code, refused.json()["code"]) == (403, "link_expired")


@pytest.mark.parametrize("ticket", ["x", "", "a:b:c"])
def test_made_up_link_is_refused(ticket, audrey_api):
    path = f"/audit/exports/{_done(audrey_api)['id']}/download"
    assert audrey_api.get(f"{path}?ticket={ticket}").status_code == 400


def test_right_taken_away_closes_the_link(audrey_api, audrey_user):
    link = _done(audrey_api)["files"][0]["url"]
    audrey_user.role_bindings.all().delete()
    assert audrey_api.get(link).status_code == 404


def test_files_go_with_their_time(audrey_api):
    link = _done(audrey_api)["files"][0]["url"]
    Export.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert audrey_api.get(link).status_code == 409


def test_project_s_auditor_gets_that_project_alone():
    mine = factories.ProjectFactory(name="mine")
    factories.ProjectFactory(name="other")
    write(project="mine"), write(project="other"), write(project="")
    api = client_of(member("otto", Role.AUDITOR, mine))
    assert api.post("/audit/exports", {}).status_code == 403
    assert api.post("/audit/exports", {"project": "other"}).status_code == 400
    export = _done(api, project="mine")
    held = gzip.decompress(_bytes(api.get(export["files"][0]["url"])))
    assert export["rows"] == held.count(b"\n") == held.count(b'"project":"mine"') == 1


def test_cancelled(audrey_api):
    made = audrey_api.post("/audit/exports", {}).json()
    path = f"/audit/exports/{made['id']}"
    assert audrey_api.delete(path).status_code == 400
    assert audrey_api.delete(path, {"reason": "too much"}).json()["state"] == "cancelled"
    assert not write_next()


@pytest.mark.parametrize("body", [
    {"format": "xml"}, {"filter": {"nonsense": "1"}}, {"filter": {"since": "yesterday"}}, {"filter": 1},
    {"filter": {"since": "2099-01-01T00:00:00Z"}}, {"bom": "yes"},
])  # fmt: skip
def test_nonsense_is_refused(body, audrey_api):
    assert audrey_api.post("/audit/exports", body).status_code == 400
