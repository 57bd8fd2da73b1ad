"""Attempts to sign in, counted in PostgreSQL: all console processes count together, and a restart forgets nothing.

Counted before the password is looked at, in a transaction of its own: what comes at the same moment waits for the row.
Names and addresses are kept as keyed hashes: people type their passwords into the field for the name.
"""

import hashlib
import hmac
import ipaddress
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db import transaction

from controlplane.models import SignInAttempts, User
from controlplane.throttle import ACCOUNT, ADDRESS, Policy, State, Verdict, attempt, take_back


class TooManyAttempts(Exception):
    """Locked for a while. The same for a name that nobody has, so it may be told."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"locked for {seconds} s")
        self.seconds = seconds


class Subject(NamedTuple):
    """What is counted, and by which policy."""

    key: str
    policy: Policy


def subjects(username: str, address: str | None) -> list[Subject]:
    """The account's name and, where it is known, the source address; always in this order: no two wait in a circle."""
    name = User.normalize_username(username).casefold()
    found = [Subject(_hash("account", name), ACCOUNT)]
    if address:
        found.append(Subject(_hash("address", _network(address)), ADDRESS))
    return found


def admit(username: str, address: str | None, now: datetime) -> None:
    """Count an attempt. Raises `TooManyAttempts` when it may not be made now; it is then not counted."""
    with transaction.atomic():
        rows = [(subject, _locked_row(subject.key, now)) for subject in subjects(username, address)]
        outcomes = [(row, *attempt(_state(row), subject.policy, now)) for subject, row in rows]
        locked = [row.locked_until for row, verdict, _state in outcomes if verdict == Verdict.LOCKED]
        for row, verdict, state in outcomes:
            if not locked or verdict == Verdict.LOCKED:
                _save(row, state)
    if locked:
        until = max(moment for moment in locked if moment is not None)
        raise TooManyAttempts(int((until - now).total_seconds()) + 1)


def succeeded(username: str, address: str | None) -> None:
    """The name starts anew. The address does not: who owns one account could else guess at others for ever."""
    account, *addresses = subjects(username, address)
    with transaction.atomic():
        SignInAttempts.objects.filter(pk=account.key).delete()
        for subject in addresses:
            for row in SignInAttempts.objects.select_for_update().filter(pk=subject.key):
                _save(row, take_back(_state(row)))


def locks(username: str, address: str | None, now: datetime) -> list[str]:
    """What is locked now: ``account``, ``address``."""
    names = ("account", "address")
    keys = [subject.key for subject in subjects(username, address)]
    held = set(SignInAttempts.objects.filter(pk__in=keys, locked_until__gt=now).values_list("pk", flat=True))
    return [name for name, key in zip(names, keys, strict=False) if key in held]


def unlock(username: str) -> bool:
    """Forget what is known of the account's name; answers whether something was."""
    return bool(SignInAttempts.objects.filter(pk=subjects(username, None)[0].key).delete()[0])


def _locked_row(key: str, now: datetime) -> SignInAttempts:
    SignInAttempts.objects.bulk_create([SignInAttempts(subject=key, last_at=now)], ignore_conflicts=True)
    return SignInAttempts.objects.select_for_update().get(pk=key)


def _state(row: SignInAttempts) -> State:
    return State(row.attempts, row.last_at, row.locked_until, row.refused)


def _save(row: SignInAttempts, state: State) -> None:
    row.attempts, row.locked_until, row.refused = state.attempts, state.locked_until, state.refused
    row.last_at = state.last_at or row.last_at
    row.save(update_fields=["attempts", "last_at", "locked_until", "refused"])


def _network(address: str) -> str:
    """An IPv6 client has a whole /64 to choose from."""
    found = ipaddress.ip_address(address)
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def _hash(kind: str, value: str) -> str:
    return hmac.new(
        settings.SECRET_KEY.encode(), f"signalbox.attempts.{kind}.{value}".encode(), hashlib.sha256
    ).hexdigest()
