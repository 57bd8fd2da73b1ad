"""The state of the register as a page says it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audit.models import Hold, SealerLease, Verification, Writer
from tests import factories
from tests.audit import seals

from .pages import text, url


@pytest.fixture
def healthy(db) -> None:
    seals.write_numbers("w", 1, 2, 3)
    seals.seal()
    SealerLease.objects.update(holder="host/7/ab", until=timezone.now() + timedelta(minutes=5))
    Verification.objects.create(pk=1, last_round=timezone.now(), checked_at=timezone.now())


def test_healthy_register(alice_console, healthy):
    shown = text(alice_console.get(url("register_seals")))
    assert "host/7/ab" in shown
    assert "frozen" not in shown.replace("not frozen", "")
    assert 'data-testid="trouble-' not in shown.replace("trouble-behind", "")


def test_frozen_register_says_what_was_found_and_what_to_do(alice_console, healthy):
    Verification.objects.update(failed_at=timezone.now(), failure="changed: seal 1, writer w, number 2")
    shown = text(alice_console.get(url("register_seals")))
    assert "changed: seal 1, writer w, number 2" in shown
    assert "a whole round of verification passes" in shown


def test_full_disk_and_missing_numbers(alice_console, healthy):
    SealerLease.objects.update(trouble="OSError: [Errno 28] No space left on device")
    Writer.objects.filter(name="w").update(missing=[[4, 6, timezone.now().isoformat(), True]])
    answer = alice_console.get(url("register_seals"))
    shown = text(answer)
    assert b'data-testid="trouble-disk_full"' in answer.content
    assert "No space left on device" in shown
    assert "given up" in shown


def test_owner_sees_why_months_stay(alice_console, healthy):
    shown = text(alice_console.get(url("register_seals")))
    assert f"{timezone.now():%Y-%m}" in shown
    assert "no archive directory is set" in shown
    assert "too young" in shown


def test_hold_is_placed_and_lifted(alice_console):
    name = factories.ProjectFactory().name
    alice_console.post(url("audit_hold_add"), {"of": "project", "name": name, "reason": "lawsuit"})
    hold = Hold.objects.get()
    assert (hold.name, hold.reason, hold.placed_by) == (name, "lawsuit", "alice")
    alice_console.post(url("audit_hold_do_lift", hold.pk), {"reason": "settled"})
    assert not Hold.objects.exists()


def test_hold_on_a_name_that_nobody_knows_is_refused(alice_console):
    answer = alice_console.post(url("audit_hold_add"), {"of": "actor", "name": "nobody", "reason": "lawsuit"})
    assert "The register knows no such name." in text(answer)
    assert not Hold.objects.exists()
