"""A secret is shown on one page, one time; a reload makes no second one, and the database never holds it."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from controlplane.models import ApiKey, Project, User
from controlplane.shown_once import KEY, MOST
from tests.console.conftest import browser_of
from tests.factories import ProjectFactory

from .pages import shown_once, text, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return ProjectFactory(name="default")


def _make(console, name="k"):
    return console.post(url("controlplane_apikey_add"), {"name": name, "project": Project.objects.get().pk})


def test_form_leads_to_a_page_of_its_own(alice_console, project):
    answer = _make(alice_console)
    assert answer.status_code == 302
    page = alice_console.get(answer["Location"])
    assert page.context["secret"].startswith("sbx_")
    assert "no-store" in page["Cache-Control"]


def test_reload_shows_it_no_more_and_makes_no_other(alice_console, project):
    where = _make(alice_console)["Location"]
    secret = alice_console.get(where).context["secret"]
    again = alice_console.get(where)
    assert again.status_code == 410
    assert "shown once and is stored nowhere" in text(again)
    assert secret not in text(again)
    assert ApiKey.objects.count() == 1


def test_address_alone_shows_nothing(alice_console, bob_console, project):
    where = _make(alice_console)["Location"]
    assert bob_console.get(where).status_code == 410
    assert alice_console.get(where).status_code == 200


def test_unread_one_is_gone_after_a_while(alice_console, project):
    where = _make(alice_console)["Location"]
    session = alice_console.session
    [(ticket, context)] = session[KEY].items()
    session[KEY] = {ticket: context | {"until": (timezone.now() - timedelta(seconds=1)).timestamp()}}
    session.save()
    assert alice_console.get(where).status_code == 410


def test_two_forms_at_once_keep_apart(alice_console, project):
    first, second = _make(alice_console, "a"), _make(alice_console, "b")
    assert shown_once(first).context["heading"] == "a"
    assert shown_once(second).context["heading"] == "b"


def test_few_are_kept(alice_console, project):
    for number in range(MOST + 3):
        _make(alice_console, str(number))
    assert len(alice_console.session[KEY]) == MOST


def test_database_never_holds_it(alice_console, project):
    answer = _make(alice_console)
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(it)::text FROM controlplane_browsersession it")
        stored = str(cursor.fetchall())
    assert shown_once(answer).context["secret"] not in stored


def test_one_time_password_comes_the_same_way(alice_console):
    answer = alice_console.post(url("controlplane_user_add"), {"username": "dora"})
    password = shown_once(answer).context["secret"]
    assert User.objects.get(username="dora").check_password(password)
    assert browser_of(User.objects.get(username="dora")).get(answer["Location"]).status_code != 200
