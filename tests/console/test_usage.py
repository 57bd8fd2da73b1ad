"""The page of usage: sums, and the rows that they are made of."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from controlplane.models import Project, User
from controlplane.roles import Role
from tests import factories
from tests.console.conftest import browser_of
from tests.console.pages import text, url

pytestmark = pytest.mark.django_db
PAGE = "controlplane_usage_changelist"


@pytest.fixture
def beta() -> Project:
    today = timezone.localdate()
    made: Project = factories.ProjectFactory(name="beta")
    factories.UsageFactory(project=made, requests=1_234, route="embed")
    factories.UsageFactory(project__name="alpha", requests=7, day=today - timedelta(days=1))
    factories.UsageFactory(project__name="old", requests=9, day=today - timedelta(days=90))
    return made


def sums(answer: object) -> dict[str, int]:
    return {it["group"]: it["requests"] for it in answer.context["sums"]}  # type: ignore[attr-defined]


def test_sums_are_by_day_at_first(vera_console: Client, beta: Project) -> None:
    answer, today = vera_console.get(url(PAGE)), timezone.localdate()
    assert list(sums(answer).items()) == [(f"{today}", 1_234), (f"{today - timedelta(days=1)}", 7)]
    assert "1,234" in text(answer)
    assert "Sums of the last 30 days" in text(answer)


def test_sums_by_project_over_chosen_days(vera_console: Client, beta: Project) -> None:
    answer = vera_console.get(url(PAGE), {"by": "project", "day_from": "2020-01-01"})
    assert sums(answer) == {"beta": 1_234, "old": 9, "alpha": 7}
    assert "Sums of the last 30 days" not in text(answer)


@pytest.mark.parametrize("query", [{"of_project": "beta"}, {"of_route": "embed"}])
def test_filters_narrow_sums_and_rows(vera_console: Client, beta: Project, query: dict[str, str]) -> None:
    answer = vera_console.get(url(PAGE), query)
    assert list(sums(answer).values()) == [1_234]
    assert [row.project_name for row in answer.context["cl"].result_list] == ["beta"]


def test_unknown_sum_is_by_day(vera_console: Client, beta: Project) -> None:
    assert timezone.localdate().isoformat() in sums(vera_console.get(url(PAGE), {"by": "colour"}))


def test_nothing_yet_says_so(vera_console: Client) -> None:
    assert "Nothing was used in this time" in text(vera_console.get(url(PAGE)))


def test_project_sees_its_own_only(beta: Project) -> None:
    user: User = factories.UserFactory(username="pia", is_staff=True)
    factories.BindingFactory(user=user, role=Role.DEVELOPER, project=beta)
    answer = browser_of(user).get(url(PAGE), {"by": "project"})
    assert sums(answer) == {"beta": 1_234}
    assert "alpha" not in text(answer)


def test_row_has_a_page(vera_console: Client, beta: Project) -> None:
    row = beta.usage_set.get()
    page = text(vera_console.get(url("controlplane_usage_change", row.pk)))
    assert "1,234" in page
    assert "2.5" in page
