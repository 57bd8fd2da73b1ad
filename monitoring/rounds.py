"""One tick: gather, evaluate, and write alerts, their history and the outbox in one transaction.

Whoever dies in it leaves nothing behind, the claim of the tick included, so the next one does it whole. Who comes
second finds the tick claimed. So each transition is recorded once, and told if and only if it is recorded.
"""

import hashlib
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import DatabaseError, connection, transaction

from controlplane.alerting.metrics import METRICS, holds
from controlplane.lifecycle import AlertState
from controlplane.lifecycle import move as move_state
from controlplane.models import (
    Alert,
    AlertRule,
    AlertRuleStatus,
    AlertTransition,
    Channel,
    Notice,
    Silence,
)
from monitoring import gather
from monitoring.evaluate import Look, Move, Reason, Times, Track, step
from monitoring.fleet import Fleet
from monitoring.standings import STANDINGS
from monitoring.telling import Listener, Quiet, Told, decide, listeners
from monitoring.ticks import claim
from monitoring.values import Question, Seen, Subject, Unanswered

logger = logging.getLogger(__name__)
TICK = "evaluate"
BATCH = 2_000
JUDGED = (
    "rule", "project", "fingerprint", "labels", "severity", "state", "value", "began_at", "state_at", "fired_at",
    "notified_at", "acknowledged_at",
)  # fmt: skip
"""what a tick has to know of an open alert: there may be thousands"""


@dataclass
class Round:
    """What a tick came to."""

    rules: int = 0
    values: int = 0
    moves: int = 0
    notices: int = 0
    seconds: float = 0.0
    errors: dict[UUID, str] = field(default_factory=dict)
    """rule -> why it could not be evaluated"""
    silent: set[UUID] = field(default_factory=set)
    """rules without any data"""


class Change(NamedTuple):
    """An alert that moved."""

    alert: Alert
    old: AlertState
    move: Move


@transaction.atomic
def evaluate(at: datetime) -> Round | None:
    """Do the tick of that time; None when it was done already."""
    began = time.perf_counter()
    if not claim(TICK, at):
        return None
    done = Round()
    still_open = Alert.objects.filter(ended_at=None).only(*JUDGED).order_by("pk")
    open_ = {(alert.rule_id, alert.fingerprint): alert for alert in still_open}
    rules = list(AlertRule.objects.filter(enabled=True).select_related("status").order_by("pk"))
    done.rules = len(rules)
    changes = [*_gone(open_.values(), {rule.pk for rule in rules}), *_all_moves(rules, open_, at, done)]
    _write(changes, at)
    done.moves = len(changes)
    done.notices = _tell([*open_.values(), *(it.alert for it in changes)], rules, at)
    _write_statuses(rules, done, at)
    done.seconds = time.perf_counter() - began
    return done


# -- looking


def _all_moves(
    rules: list[AlertRule], open_: dict[tuple[UUID | None, str], Alert], at: datetime, done: Round
) -> Iterator[Change]:
    fleet = Fleet.now()
    answers = _answers({rule.pk: _question(rule, fleet) for rule in rules}, fleet, at)
    of_rule: dict[UUID | None, list[Alert]] = defaultdict(list)
    for alert in open_.values():
        of_rule[alert.rule_id].append(alert)
    for rule in rules:
        answer = answers[rule.pk]
        mine = {alert.fingerprint: alert for alert in of_rule[rule.pk]}
        if isinstance(answer, Unanswered):
            done.errors[rule.pk] = str(answer)
            yield from _all_same(mine.values(), Look.BROKEN, rule, at)
            continue
        if not answer:
            done.silent.add(rule.pk)
        done.values += len(answer)
        yield from _moves_of(rule, answer, mine, fleet, at)


def _question(rule: AlertRule, fleet: Fleet) -> Question:
    """What the rule asks: narrowed by caller where the samples tell it, else its answer is narrowed afterwards."""
    question = Question(rule.metric, rule.aggregation, rule.window_seconds, min_requests=rule.min_requests)
    if not rule.watched.by_caller:
        return question
    deployments = {owned.id: name for name, owned in fleet.deployments.items()}
    return question._replace(
        project=fleet.projects.get(rule.project_id, "") if rule.project_id else "",
        deployment=deployments.get(rule.deployment_id, "?") if rule.deployment_id else "",
    )


Answer = list[Seen] | Unanswered


def _answers(questions: dict[UUID, Question], fleet: Fleet, at: datetime) -> dict[UUID, Answer]:
    """rule -> what is seen; each question is asked once, the samples of each window are read once."""
    known: dict[Question, Answer] = {}
    windows: dict[int, set[str]] = defaultdict(set)
    for question in set(questions.values()):
        if METRICS[question.metric].series:
            windows[question.window_seconds].add(question.metric)
        else:
            known[question] = _standing(question, at)
    for seconds, metrics in windows.items():
        rows = _rows(metrics, seconds, at)
        for question in set(questions.values()) - known.keys():
            if question.window_seconds == seconds:
                known[question] = rows if isinstance(rows, Unanswered) else gather.answer(question, rows, fleet)
    return {rule: known[question] for rule, question in questions.items()}


def _rows(metrics: Iterable[str], seconds: int, at: datetime) -> list[gather.Row] | Unanswered:
    series = {name for metric in metrics for name in METRICS[metric].series}
    try:
        with transaction.atomic():
            return gather.rows(series, seconds, at)
    except DatabaseError as exc:
        logger.exception("the samples of %s s could not be read", seconds)
        return Unanswered(f"the samples could not be read: {type(exc).__name__}")


def _standing(question: Question, at: datetime) -> Answer:
    look = STANDINGS.get(question.metric)
    if look is None:
        return []
    try:
        with transaction.atomic():
            return look(at)
    except DatabaseError as exc:
        logger.exception("%s could not be read", question.metric)
        return Unanswered(f"it could not be read: {type(exc).__name__}")


# -- judging


def _moves_of(
    rule: AlertRule, seen: list[Seen], mine: dict[str, Alert], fleet: Fleet, at: datetime
) -> Iterator[Change]:
    """The moves of a rule's alerts. Almost all subjects are well and have no alert: those are passed over first."""
    met: set[str] = set()
    for subject, value in seen:
        breached = value is not None and holds(value, rule.comparison, rule.threshold)
        if not breached and not mine:
            continue
        if not _is_watched(rule, subject):
            continue
        print_ = fingerprint(rule, subject)
        met.add(print_)
        alert = mine.get(print_)
        if alert is not None:
            alert.value = value if value is not None else alert.value
        if alert is None and not breached:
            continue
        look = Look.HOLDS if breached else Look.WELL
        if change := _step(alert or _new(rule, subject, value, print_, at), look, rule, at):
            yield change
    left = [alert for print_, alert in mine.items() if print_ not in met]
    yield from _without_value(left, rule, fleet, at)


def _is_watched(rule: AlertRule, subject: Subject) -> bool:
    """A rule of a project watches what is the project's; told by caller, its part of a platform's route as well."""
    theirs = rule.project_id is None or rule.watched.by_caller or subject.project == rule.project_id
    here = rule.deployment_id is None or rule.watched.by_caller or subject.deployment == rule.deployment_id
    return theirs and here and rule.route_id in {None, subject.route}


def _without_value(alerts: list[Alert], rule: AlertRule, fleet: Fleet, at: datetime) -> Iterator[Change]:
    """Open alerts of which nothing is seen: what was deleted or is watched no more is over, the rest has no data."""
    there = {str(owned.id) for owned in (*fleet.deployments.values(), *fleet.routes.values())}
    for alert in alerts:
        told_by_tables = not rule.watched.series
        deployment, route = alert.labels.get("deployment_id"), alert.labels.get("route_id")
        deleted = any(it and it not in there for it in (deployment, route))
        outside = rule.deployment_id is not None and deployment not in {None, str(rule.deployment_id)}
        look = Look.GONE if told_by_tables or deleted or outside else Look.NOTHING
        yield from _all_same([alert], look, rule, at)


def _gone(alerts: Iterable[Alert], rules: set[UUID]) -> Iterator[Change]:
    """Alerts whose rule was deleted or switched off."""
    for alert in alerts:
        if alert.rule_id not in rules:
            yield Change(alert, AlertState(alert.state), Move(AlertState.INACTIVE, Reason.RULE_GONE))


def _all_same(alerts: Iterable[Alert], look: Look, rule: AlertRule, at: datetime) -> Iterator[Change]:
    for alert in alerts:
        if change := _step(alert, look, rule, at):
            yield change


def _step(alert: Alert, look: Look, rule: AlertRule, at: datetime) -> Change | None:
    new = alert._state.adding  # noqa: SLF001 - Django's own flag
    old = AlertState.INACTIVE if new else AlertState(alert.state)
    track = None if new else Track(old, alert.began_at, alert.state_at, alert.fired_at is not None)
    times = Times(timedelta(seconds=rule.for_seconds), timedelta(seconds=rule.keep_firing_seconds))
    move = step(track, look, times, at)
    return Change(alert, old, move) if move else None


def fingerprint(rule: AlertRule, subject: Subject) -> str:
    """Names an alert: its rule and its subject."""
    return hashlib.sha256(f"{rule.pk}|{subject.kind}|{subject.key}".encode()).hexdigest()


def _new(rule: AlertRule, subject: Subject, value: float | None, print_: str, at: datetime) -> Alert:
    labels = {
        "deployment_id": str(subject.deployment) if subject.deployment else None,
        "route_id": str(subject.route) if subject.route else None,
        subject.kind: subject.name,
    }
    project = rule.project_id or subject.project
    return Alert(
        rule=rule, rule_name=rule.name, preset=rule.preset, project_id=project, fingerprint=print_,
        subject_kind=subject.kind, subject=subject.name[:300], labels={k: v for k, v in labels.items() if v},
        severity=rule.severity, metric=rule.metric, aggregation=rule.aggregation, window_seconds=rule.window_seconds,
        comparison=rule.comparison, threshold=rule.threshold, value=value, advice=rule.advice, began_at=at,
        state=AlertState.INACTIVE,
    )  # fmt: skip


# -- writing

_MOVED = """
UPDATE controlplane_alert AS alert SET
    state = new.state, reason = new.reason, value = new.value, state_at = %(at)s, updated_at = %(at)s,
    began_at = CASE WHEN new.state = 'pending' THEN %(at)s ELSE alert.began_at END,
    fired_at = CASE WHEN new.state = 'firing' THEN coalesce(alert.fired_at, %(at)s) ELSE alert.fired_at END,
    ended_at = CASE WHEN new.state = 'inactive' THEN %(at)s END
FROM unnest(%(ids)s::uuid[], %(states)s::text[], %(reasons)s::text[], %(values)s::float8[])
    AS new (id, state, reason, value)
WHERE alert.id = new.id
"""
_TOLD = "UPDATE controlplane_alert SET notified_at = %s WHERE id = ANY(%s)"


def _write(changes: list[Change], at: datetime) -> None:
    """New alerts, those that moved, and a line of history for each."""
    if not changes:
        return
    new = [change for change in changes if change.old is AlertState.INACTIVE]
    moved = [change for change in changes if change.old is not AlertState.INACTIVE]
    for change in changes:
        _apply(change, at)
    Alert.objects.bulk_create([change.alert for change in new], batch_size=BATCH)
    if moved:
        with connection.cursor() as cursor:
            cursor.execute(_MOVED, {
                "at": at, "ids": [it.alert.pk for it in moved], "states": [it.move.state.value for it in moved],
                "reasons": [it.move.reason.value for it in moved], "values": [it.alert.value for it in moved],
            })  # fmt: skip
    lines = [
        AlertTransition(
            alert=alert, at=at, old_state=old, new_state=move.state, reason=move.reason, value=alert.value
        )
        for alert, old, move in changes
    ]  # fmt: skip
    AlertTransition.objects.bulk_create(lines, batch_size=BATCH)


def _apply(change: Change, at: datetime) -> None:
    """The same in memory, for the telling and for new rows; `lifecycle` checks the move."""
    alert, state = change.alert, change.move.state
    move_state(alert, state)
    alert.reason, alert.state_at = change.move.reason.value, at
    if state is AlertState.FIRING and alert.fired_at is None:
        alert.fired_at = at
    if state is AlertState.INACTIVE:
        alert.ended_at = at


def _write_statuses(rules: list[AlertRule], done: Round, at: datetime) -> None:
    """How each rule went, when that is another story than before."""
    S = AlertRuleStatus.State  # noqa: N806 - three lines below it
    for rule in rules:
        state = S.ERROR if rule.pk in done.errors else S.NO_DATA if rule.pk in done.silent else S.OK
        message = done.errors.get(rule.pk, "")
        known = getattr(rule, "status", None)
        if known is None or (known.state, known.message) != (state, message):
            AlertRuleStatus.objects.update_or_create(
                rule=rule, defaults={"state": state, "message": message, "since": at}
            )


# -- telling


def _tell(alerts: Iterable[Alert], rules: list[AlertRule], at: datetime) -> int:
    """Put into the outbox whom to tell of what; answers how many notices."""
    unique = {alert.pk: alert for alert in alerts}
    if not unique:
        return 0
    channels = [
        Listener(it.pk, it.project_id, it.min_severity, it.send_recovery)
        for it in Channel.objects.filter(enabled=True, broken=None).order_by("pk")
    ]
    silences = [
        Quiet(*row)
        for row in Silence.objects.filter(starts_at__lte=at, ends_at__gt=at).values_list(
            "project_id", "rule_id", "deployment_id"
        )
    ]
    repeat = {rule.pk: timedelta(seconds=rule.repeat_seconds) for rule in rules}
    notices, told_of = [], []
    for alert in unique.values():
        told = _told(alert, repeat)
        telling = decide(told, silences, at)
        if telling.kind is None:
            continue
        heard = listeners(told, telling.kind, channels)
        notices += [
            Notice(alert=alert, channel_id=channel, kind=telling.kind, at=at, value=alert.value) for channel in heard
        ]
        if heard and telling.kind is not Notice.Kind.RESOLVED:
            told_of.append(alert.pk)
    Notice.objects.bulk_create(notices, batch_size=BATCH)
    if told_of:
        with connection.cursor() as cursor:
            cursor.execute(_TOLD, [at, told_of])
    return len(notices)


def _told(alert: Alert, repeat: dict[UUID, timedelta]) -> Told:
    deployment = alert.labels.get("deployment_id")
    return Told(
        AlertState(alert.state), alert.severity, alert.rule_id, alert.project_id,
        UUID(deployment) if deployment else None, alert.notified_at, alert.acknowledged_at is not None,
        repeat.get(alert.rule_id, timedelta(0)) if alert.rule_id else timedelta(0),
    )  # fmt: skip
