"""`create_key` prints a key that works, alone."""

import json
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from controlplane.models import ApiKey
from inference.contract import keys
from tests.commands.run import run
from tests.factories import ProjectFactory, RouteFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def default_project() -> None:
    ProjectFactory(name="default")


def test_prints_the_key_alone() -> None:
    token = run("create_key").out.removesuffix("\n")
    assert keys.parse(token)
    assert ApiKey.objects.get().digest == keys.digest(token, keys.pepper(settings.SECRET_KEY))


def test_belongs_to_the_project_and_bears_the_name() -> None:
    project = ProjectFactory(name="team-a")
    run("create_key", "--project", "team-a", "--name", "batch")
    key = ApiKey.objects.get()
    assert (key.project, key.name, key.expires_at, key.routes) == (project, "batch", None, None)


def test_unknown_project_names_those_there_are() -> None:
    ProjectFactory(name="team-a")
    ran = run("create_key", "--project", "team-b")
    assert ran == ("", "There is no project team-b. There are: default, team-a.", 1)


def test_routes_are_kept() -> None:
    RouteFactory(name="a")
    RouteFactory(name="b")
    run("create_key", "--routes", "b, a,")
    assert ApiKey.objects.get().routes == ["a", "b"]


def test_unknown_route_is_refused() -> None:
    ran = run("create_key", "--routes", "nowhere")
    assert ran.err == "routes: There is no route nowhere for this project."
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("text", "length"), [("90d", timedelta(90)), ("12h", timedelta(hours=12)), ("1m", timedelta(minutes=1))]
)
def test_expiry(text: str, length: timedelta) -> None:
    run("create_key", "--expires", text)
    end = ApiKey.objects.get().expires_at
    assert end is not None
    assert abs(end - timezone.now() - length) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["90", "d", "-1d", "0d", "1y", "1.5d", "99999999d", "9999999d"])
def test_bad_expiry_is_refused(text: str) -> None:
    ran = run("create_key", f"--expires={text}")
    assert ran.status == 1
    assert ran.out == ""
    assert not ApiKey.objects.exists()


def test_json_tells_all() -> None:
    data = json.loads(run("create_key", "--json").out)
    assert data["key"].startswith(f"sbx_{data['key_id']}_")
    assert data["project"] == "default"


def test_name_too_long_is_refused() -> None:
    assert run("create_key", "--name", "x" * 101).err.startswith("name: ")


def test_limits_of_the_key() -> None:
    data = json.loads(run("create_key", "--json", "--rpm", "60", "--tpm", "9000", "--concurrency", "4").out)
    limit = ApiKey.objects.get().limits.get()
    assert (limit.requests_per_minute, limit.tokens_per_minute, limit.concurrency) == (60, 9000, 4)
    assert data["limits"] == {"requests_per_minute": 60, "tokens_per_minute": 9000, "concurrency": 4}


def test_bad_limit_makes_no_key() -> None:
    assert run("create_key", "--rpm", "-1").err.startswith("requests_per_minute: ")
    assert not ApiKey.objects.exists()


def test_budgets_of_the_key() -> None:
    run("create_key", "--budget-tokens-day", "1000", "--budget-cost-month", "12.50")
    limit = ApiKey.objects.get().limits.get()
    assert (limit.tokens_per_day, limit.cost_micros_per_month) == (1000, 12_500_000)


@pytest.mark.parametrize("text", ["-1", "1e3", "0.1234567", "much"])
def test_bad_cost_is_refused(text: str) -> None:
    assert run("create_key", f"--budget-cost-day={text}").status == 1
    assert not ApiKey.objects.exists()
