"""The console's way to what is kept of a request."""

import pytest
from django.test import Client as Browser
from django.urls import reverse

from audit.models import Event
from controlplane.models import User
from tests import factories, kept

pytestmark = pytest.mark.django_db


def looking(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser


def test_auditor_is_led_from_the_event_to_its_contents(audrey_user: User) -> None:
    event = kept.request_of(factories.BodyKeyFactory())
    browser = looking(audrey_user)
    page = browser.get(reverse("admin:audit_event_change", args=[event.pk])).content.decode()
    path = reverse("admin:event_bodies", args=[event.pk])
    assert path in page
    asked = browser.get(path).content.decode()
    assert "13800138000" not in asked
    shown = browser.post(path, {"reason": "complaint"})
    assert "13800138000" in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert Event.objects.filter(operation="body.read", source="ui", reason="complaint").exists()


def test_no_reason_no_contents(audrey_user: User) -> None:
    event = kept.request_of(factories.BodyKeyFactory())
    shown = looking(audrey_user).post(reverse("admin:event_bodies", args=[event.pk]), {"reason": ""}).content.decode()
    assert "13800138000" not in shown
    assert not Event.objects.filter(operation="body.read").exists()


def test_operator_is_offered_none(bob_user: User) -> None:
    event = kept.request_of(factories.BodyKeyFactory())
    browser, path = looking(bob_user), reverse("admin:event_bodies", args=[event.pk])
    assert path not in browser.get(reverse("admin:audit_event_change", args=[event.pk])).content.decode()
    assert browser.post(path, {"reason": "r"}).status_code == 403


def test_what_is_kept_is_escaped(audrey_user: User) -> None:
    pair = factories.BodyKeyFactory()
    event = kept.event(pair.project.name)
    kept.keep(event, pair, "input", "<script>alert(1)</script>")
    shown = looking(audrey_user).post(reverse("admin:event_bodies", args=[event.pk]), {"reason": "r"}).content.decode()
    assert "<script>alert(1)" not in shown
