"""Erasing and laying open from the command line."""

import pytest

from audit.models import Event
from controlplane.models import ReleasedText
from tests import factories, kept

from .run import run

pytestmark = pytest.mark.django_db
TIMES = ("--since", "2020-01-01", "--until", "2100-01-01T00:00:00+08:00")


def test_erase() -> None:
    pair = factories.BodyKeyFactory(person="dora")
    done = run("erase_bodies", "dora", "--project", pair.project.name, "--reason", "asked for it")
    assert (done.status, done.out) == (0, "What was kept of dora cannot be read any more.\n")
    pair.refresh_from_db()
    assert not pair.private
    assert Event.objects.get(operation="body.erased").reason == "asked for it"


def test_erasing_needs_a_reason_and_a_project() -> None:
    pair = factories.BodyKeyFactory(person="dora")
    assert run("erase_bodies", "dora", "--project", pair.project.name).status == 1
    assert "no project" in run("erase_bodies", "dora", "--project", "none", "--reason", "r").err


def test_release() -> None:
    pair = factories.BodyKeyFactory()
    kept.request_of(pair, "masked")
    done = run("release_bodies", "--project", pair.project.name, *TIMES, "--days", "3", "--reason", "audit")
    assert done.out == "2 texts can be read for 3 days.\n"
    assert ReleasedText.objects.count() == 2


def test_release_needs_a_time() -> None:
    assert run("release_bodies", "--project", "p", "--since", "soon", "--until", "2100-01-01").status == 1
