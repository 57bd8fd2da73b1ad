"""Abnormal operations, refused as they happen: the register asks before it takes an event of a watched operation.

All of one actor's watched acts wait for each other, whatever process they come through, and are counted in the
transaction of the act: what is refused is rolled back, what is committed is counted. The answer, a suspension, is
written by who catches the refusal, because the act's own transaction is gone by then.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor
from audit.watch import OF_OPERATION, Act, Rule, Threshold, Verdict, decide, weight_of
from controlplane.errors import NotAllowed
from controlplane.models import WatchedAct

PEOPLE_AND_MACHINES = frozenset({"user", "service_account"})


class Abnormal(NotAllowed):
    """Refused, and its actor is to be suspended."""

    code = "abnormal_operation"

    def __init__(self, verdict: Verdict, actor: Actor) -> None:
        assert verdict.threshold  # noqa: S101 - nothing is refused without one
        limit = {"most": verdict.threshold.most, "minutes": round(verdict.threshold.window.total_seconds() / 60)}
        what = _("Refused as abnormal: more than %(most)d in %(minutes)d minutes (%(rule)s).")
        super().__init__(what % {**limit, "rule": verdict.rule.value})
        self.verdict, self.actor = verdict, actor


def watch(operation: Operation, actor: Actor, detail: Mapping[str, Any] | None) -> None:
    """Count an event that is about to be appended. Raises `Abnormal`. `settings.REGISTER_WATCH` names it."""
    rule = OF_OPERATION.get(operation)
    if rule is None or actor.type not in PEOPLE_AND_MACHINES:
        return
    verdict = count(actor.type, actor.id, rule, Act(timezone.now(), weight_of(rule, detail)))
    if verdict.refused:
        raise Abnormal(verdict, actor)


def count(actor_type: str, actor_id: str, rule: Rule, new: Act) -> Verdict:
    """Decide in the current transaction, after everybody else who decides about the actor; remember what is allowed."""
    threshold: Threshold | None = settings.GUARD[rule]
    if threshold is None or not new.weight:
        return decide((), new, rule, threshold)
    _one_at_a_time(actor_type, actor_id)
    mine = WatchedAct.objects.filter(actor_type=actor_type, actor_id=actor_id, rule=rule)
    recent = mine.filter(at__gt=new.at - threshold.window).order_by("-at").values_list("at", "weight")
    verdict = decide((Act(*it) for it in recent[: threshold.most + 1]), new, rule, threshold)
    if not verdict.refused:
        WatchedAct.objects.create(actor_type=actor_type, actor_id=actor_id, rule=rule, at=new.at, weight=new.weight)
    return verdict


def count_refusal(actor: Actor, now: datetime) -> Verdict:
    """Somebody was turned away. In a transaction of its own."""
    with transaction.atomic():
        return count(actor.type, actor.id, Rule.REFUSALS, Act(now, 1))


def forget(now: datetime) -> int:
    """Delete acts that no window holds any more; answers how many."""
    longest = max((it.window for it in settings.GUARD.values() if it), default=None)
    old = WatchedAct.objects.filter(at__lte=now - longest) if longest else WatchedAct.objects.all()
    return old.delete()[0]


def _one_at_a_time(actor_type: str, actor_id: str) -> None:
    number = int.from_bytes(hashlib.sha256(f"guard {actor_type} {actor_id}".encode()).digest()[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def suspended_error(until: datetime) -> NotAllowed:
    """What somebody who is suspended is told, whatever they ask."""
    moment = timezone.localtime(until).strftime("%Y-%m-%d %H:%M:%S %Z")
    return NotAllowed(
        _("Suspended until %(until)s for abnormal operations. An owner can lift it.") % {"until": moment},
        code="suspended",
    )  # fmt: skip
