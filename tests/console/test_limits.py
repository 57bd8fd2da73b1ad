"""Limits in the console: listed, set, changed, removed, and shown with the key."""

from datetime import timedelta

import pytest
from django.utils import timezone

from controlplane.models import BudgetAccount, Limit
from tests.factories import ApiKeyFactory, LimitFactory, ProjectFactory, RouteFactory, VersionFactory

from .pages import errors, text, url


def test_limit_is_set_for_a_project(alice_console, events):
    project = ProjectFactory(name="team-a")
    sent = {"project": project.pk, "requests_per_minute": "60", "reason": "fair use"}
    assert alice_console.post(url("controlplane_limit_add"), sent).status_code == 302
    assert Limit.objects.get().requests_per_minute == 60
    assert (events()[-1].operation, events()[-1].reason) == ("limit.changed", "fair use")


@pytest.mark.parametrize(("sent", "field"), [({"concurrency": "1"}, "api_key"), ({}, "api_key")])
def test_limit_without_a_subject_is_refused(sent, field, alice_console):
    assert field in errors(alice_console.post(url("controlplane_limit_add"), sent))


def test_limit_without_a_number_is_refused(alice_console):
    answer = alice_console.post(url("controlplane_limit_add"), {"route": RouteFactory().pk})
    assert "requests_per_minute" in errors(answer)


def test_list_says_who_and_how_much(alice_console):
    LimitFactory(api_key=ApiKeyFactory(name="billing-bot"), route=RouteFactory(name="smol"), requests_per_minute=77)
    page = text(alice_console.get(url("controlplane_limit_changelist")))
    assert "billing-bot" in page
    assert "× smol" in page
    assert "77" in page


def test_form_of_a_change_shows_the_numbers(alice_console):
    limit = LimitFactory(project=ProjectFactory(), requests_per_minute=77)
    assert 'value="77"' in text(alice_console.get(url("controlplane_limit_do_change", limit.pk)))
    alice_console.post(url("controlplane_limit_do_change", limit.pk), {"concurrency": "3"})
    limit.refresh_from_db()
    assert (limit.requests_per_minute, limit.concurrency) == (None, 3)


def test_removed_with_a_reason(alice_console, events):
    limit = LimitFactory(project=ProjectFactory())
    path = url("controlplane_limit_do_remove", limit.pk)
    assert "reason" in errors(alice_console.post(path, {}))
    assert alice_console.post(path, {"reason": "over"}).status_code == 302
    assert not Limit.objects.exists()


def test_key_shows_and_sets_its_limits(alice_console):
    key = ApiKeyFactory()
    page = url("controlplane_apikey_change", key.pk)
    assert "unlimited" in text(alice_console.get(page))
    path = url("controlplane_apikey_do_limit", key.pk)
    assert alice_console.post(path, {"requests_per_minute": "60", "tokens_per_minute": "9000"}).status_code == 302
    shown = text(alice_console.get(page))
    assert "60 requests/min · 9000 tokens/min" in shown
    assert 'value="9000"' in text(alice_console.get(path))


def test_in_chinese(alice_console):
    LimitFactory(project=ProjectFactory())
    alice_console.cookies["django_language"] = "zh-hans"
    page = text(alice_console.get(url("controlplane_limit_changelist"), headers={"accept-language": "zh-hans"}))
    assert "限额" in page


def test_budget_is_set_in_units_and_drawn(alice_console):
    project = ProjectFactory()
    sent = {"project": project.pk, "cost_micros_per_day": "12.50", "tokens_per_month": "1000"}
    assert alice_console.post(url("controlplane_limit_add"), sent).status_code == 302
    limit = Limit.objects.get()
    assert (limit.cost_micros_per_day, limit.tokens_per_month) == (12_500_000, 1000)
    account = {"dimension": "cost_micros_per_day", "period": "today", "spent": 5_000_000}
    now = timezone.now()
    BudgetAccount.objects.create(limit=limit, starts=now - timedelta(hours=1), ends=now + timedelta(hours=1), **account)
    for page in (url("controlplane_limit_change", limit.pk), url("controlplane_limit_changelist")):
        shown = text(alice_console.get(page))
        assert "5 of 12.5 spent" in shown
        assert '<progress max="100" value="40"' in shown
    assert 'value="12.5"' in text(alice_console.get(url("controlplane_limit_do_change", limit.pk)))


@pytest.mark.parametrize("sent", ["-1", "0.0000001", "1e99", "a"])
def test_cost_that_is_none_is_refused(sent, alice_console):
    answer = alice_console.post(
        url("controlplane_limit_add"), {"project": ProjectFactory().pk, "cost_micros_per_day": sent}
    )
    assert "cost_micros_per_day" in errors(answer)


def test_prices_of_a_version(alice_console):
    version = VersionFactory()
    path = url("controlplane_modelversion_do_price", version.pk)
    sent = {"prompt_price_micros": "2.5", "completion_price_micros": "0"}
    assert alice_console.post(path, sent).status_code == 302
    assert "2.5 a million tokens" in text(alice_console.get(url("controlplane_modelversion_change", version.pk)))
