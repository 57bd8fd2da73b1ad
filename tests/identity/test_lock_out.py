"""Guessing passwords at the console's door comes to an end, for names that somebody has and for others alike."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone

from audit.models import Event
from config import settings as production
from controlplane import attempts
from controlplane.actions.unlock_user import unlock_user
from controlplane.actors import SYSTEM
from controlplane.attempts import TooManyAttempts
from controlplane.models import SignInAttempts, User
from controlplane.throttle import ACCOUNT, ADDRESS
from tests.console.pages import text, url
from tests.identity.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def attempt(username: str, password: str, address: str = "192.0.2.1") -> Any:
    return Client(REMOTE_ADDR=address).post(url("login"), {"username": username, "password": password})


def fail_often(username: str, times: int = ACCOUNT.free, address: str = "192.0.2.1") -> Any:
    for _ in range(times):
        answer = attempt(username, "wrong", address)
    return answer


def later(**delta: float) -> None:
    """As if so much time had passed."""
    for row in SignInAttempts.objects.all():
        row.last_at -= timedelta(**delta)
        row.locked_until = row.locked_until and row.locked_until - timedelta(**delta)
        row.save()


def test_right_password_is_refused_while_locked(dora: User) -> None:
    fail_often("dora")
    answer = attempt("dora", PASSWORD)
    assert answer.status_code == 200
    assert "Too many failed attempts. Try again in 1 minute." in text(answer)


def test_lock_ends_by_itself(dora: User) -> None:
    fail_often("dora")
    later(minutes=1)
    assert attempt("dora", PASSWORD).status_code == 302
    assert not SignInAttempts.objects.filter(attempts__gte=ACCOUNT.free - 1).exclude(attempts=ACCOUNT.free).exists()


def test_success_begins_the_count_anew(dora: User) -> None:
    for _ in range(3):
        fail_often("dora", ACCOUNT.free - 1, "192.0.2.7")
        assert attempt("dora", PASSWORD, "192.0.2.8").status_code == 302


def test_name_that_nobody_has_is_locked_alike(dora: User) -> None:
    known = fail_often("dora", ACCOUNT.free + 1, "192.0.2.1")
    unknown = fail_often("nobody", ACCOUNT.free + 1, "192.0.2.2")
    assert known.context["form"].errors == unknown.context["form"].errors
    assert known.context["form"].errors


@pytest.mark.parametrize("name", ["Dora", "DORA", "ｄｏｒａ"])
def test_other_spellings_of_a_name_count_with_it(dora: User, name: str) -> None:
    fail_often("dora", ACCOUNT.free - 1)
    fail_often(name, 1)
    assert "Too many" in text(attempt("dora", PASSWORD))


def test_other_people_are_not_locked_with_it(dora: User) -> None:
    User.objects.create(username="emil", password=dora.password, is_staff=True)
    fail_often("dora")
    assert attempt("emil", PASSWORD, "192.0.2.2").status_code == 302


def test_address_is_locked_after_many_names(dora: User) -> None:
    for number in range(ADDRESS.free):
        attempt(f"name-{number}", "wrong", "192.0.2.9")
    assert "Too many" in text(attempt("dora", PASSWORD, "192.0.2.9"))
    assert attempt("dora", PASSWORD, "192.0.2.10").status_code == 302


def test_own_successes_do_not_help_an_address(dora: User) -> None:
    for number in range(ADDRESS.free):
        attempt(f"name-{number}", "wrong", "192.0.2.9")
        if number < ADDRESS.free - 1:
            attempt("dora", PASSWORD, "192.0.2.9")
    assert "Too many" in text(attempt("one-more", "wrong", "192.0.2.9"))


def test_network_of_an_ipv6_address_counts_as_one(dora: User) -> None:
    for number in range(ADDRESS.free):
        attempt(f"name-{number}", "wrong", f"2001:db8::{number + 1:x}")
    assert "Too many" in text(attempt("dora", PASSWORD, "2001:db8::ffff"))
    assert attempt("dora", PASSWORD, "2001:db8:0:1::1").status_code == 302


def test_locked_attempt_looks_at_no_password(dora: User) -> None:
    fail_often("dora")
    with patch.object(User, "check_password", side_effect=AssertionError("it was looked at")):
        attempt("dora", PASSWORD)


def test_overlong_password_is_not_hashed(dora: User) -> None:
    with patch.object(User, "check_password", side_effect=AssertionError("it was hashed")):
        assert attempt("dora", "x" * 2_000).status_code == 200


def test_nothing_that_was_typed_is_stored(dora: User) -> None:
    attempt("my-password-in-the-wrong-field", "wrong", "192.0.2.77")
    stored = str(list(SignInAttempts.objects.values()))
    assert "my-password" not in stored
    assert "192.0.2.77" not in stored


def test_register_tells_failures_and_the_lock(dora: User, events: Callable[[], list[Event]]) -> None:
    fail_often("dora", ACCOUNT.free + 3)
    told = [(event.operation, event.target_name, event.source_ip, event.kind) for event in events()]
    failure = ("user.sign_in_failed", "dora", "192.0.2.1", "security")
    assert sorted(told) == sorted([*[failure] * ACCOUNT.free, ("user.locked_out", "dora", "192.0.2.1", "security")])
    assert events()[-2].detail == {"locked": ["account"]} or events()[-1].detail == {"locked": ["account"]}


def test_lock_can_be_lifted(dora: User, events: Callable[[], list[Event]]) -> None:
    fail_often("dora")
    unlock_user(dora, actor=SYSTEM, reason="it was somebody else")
    assert events()[-1].operation == "user.unlocked"
    assert attempt("dora", PASSWORD).status_code == 302


def test_weaker_hash_is_renewed_at_sign_in(dora: User, settings: Any) -> None:
    settings.PASSWORD_HASHERS = production.PASSWORD_HASHERS
    User.objects.update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
    assert attempt("dora", PASSWORD).status_code == 302
    dora.refresh_from_db()
    assert dora.password.startswith("argon2$argon2id$")


@pytest.mark.django_db(transaction=True)
def test_attempts_at_the_same_moment_do_not_pass_together(dora: User) -> None:
    """Of 16 guesses at once only the free ones are compared, though none has failed when the others come."""
    looked, together = [], threading.Barrier(16)
    request = RequestFactory().post("/", REMOTE_ADDR="192.0.2.1")

    def look(_self: User, _password: str) -> bool:
        looked.append(1)
        return False

    def guess() -> None:
        together.wait()
        try:
            authenticate(request, username="dora", password="wrong")
        except TooManyAttempts:
            pass
        finally:
            connection.close()

    with patch.object(User, "check_password", look):
        threads = [threading.Thread(target=guess) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(looked) == ACCOUNT.free


def test_locks_are_counted_together_by_all_processes(dora: User) -> None:
    """Nothing is kept in the process: another one reads the same rows."""
    for _ in range(ACCOUNT.free):
        attempts.admit("dora", None, timezone.now())
    with pytest.raises(TooManyAttempts) as refused:
        attempts.admit("dora", None, timezone.now())
    assert 50 < refused.value.seconds <= 61
