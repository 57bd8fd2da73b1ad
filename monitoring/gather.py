"""From samples to one value for each subject of a metric: a few queries for all questions of one window."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from controlplane.alerting.metrics import METRICS, QUANTILE, Aggregation, Metric, Of
from monitoring.figures import added, growth, monotonic, quantile
from monitoring.fleet import Fleet
from monitoring.values import Question, Seen, Subject
from monitoring.vocabulary import COUNTERS

FRESH_SECONDS = 60
"""a series that was read longer ago tells nothing of now"""


class Row(NamedTuple):
    """A series with what its samples in the window come to."""

    metric: str
    target: str
    deployment: str
    replica: str
    project: str
    route: str
    part: str
    bounds: Sequence[float]
    figures: Sequence[float]
    """of a counter: what it grew by; of a gauge: average, lowest, highest, latest"""
    seconds: float = 0.0
    """between the first and the last sample of a counter"""


_FIELDS = "s.metric, s.target, s.deployment, s.replica, s.project, s.route, s.part, s.bounds"
_COUNTERS = f"""
SELECT {_FIELDS}, first."values", last."values", extract(epoch FROM last.at - first.at)
FROM monitoring_series s
CROSS JOIN LATERAL (SELECT at, "values" FROM monitoring_sample
    WHERE series = s.id AND at > %(since)s AND at <= %(now)s ORDER BY at LIMIT 1) first
CROSS JOIN LATERAL (SELECT at, "values" FROM monitoring_sample
    WHERE series = s.id AND at > %(since)s AND at <= %(now)s ORDER BY at DESC LIMIT 1) last
WHERE s.metric = ANY(%(metrics)s) AND s.last_at > %(fresh)s
ORDER BY s.id
"""  # noqa: S608 # nosec B608 - names of our own
_GAUGES = f"""
SELECT {_FIELDS}, told.figures FROM monitoring_series s
CROSS JOIN LATERAL (
    SELECT ARRAY[avg("values"[1]), min("values"[1]), max("values"[1]), (array_agg("values"[1] ORDER BY at DESC))[1]]
        AS figures
    FROM monitoring_sample WHERE series = s.id AND at > %(since)s AND at <= %(now)s
) told
WHERE s.metric = ANY(%(metrics)s) AND s.last_at > %(fresh)s AND told.figures[1] IS NOT NULL
ORDER BY s.id
"""  # noqa: S608 # nosec B608


def rows(metrics: Iterable[str], seconds: float, now: datetime) -> list[Row]:
    """All fresh series of these names, with what they come to in the window that ends now."""
    wanted = set(metrics)
    fresh = now - timedelta(seconds=max(FRESH_SECONDS, min(seconds, 2 * FRESH_SECONDS)))
    asked: dict[str, Any] = {"since": now - timedelta(seconds=seconds), "now": now, "fresh": fresh}
    found = []
    with connection.cursor() as cursor:
        if counters := sorted(wanted & COUNTERS):
            cursor.execute(_COUNTERS, asked | {"metrics": counters})
            for *told, first, last, between in cursor.fetchall():
                fields: list[Any] = [*told, growth(first, last), float(between)]
                found.append(Row._make(fields))
        if gauges := sorted(wanted - COUNTERS):
            cursor.execute(_GAUGES, asked | {"metrics": gauges})
            found += [Row._make((*row, 0.0)) for row in cursor.fetchall()]
    return found


def answer(question: Question, told: Iterable[Row], fleet: Fleet) -> list[Seen]:
    """The value of every subject, from the rows of the question's window. Pure."""
    metric = METRICS[question.metric]
    mine = [row for row in told if row.metric in metric.series and _is_asked_for(row, question)]
    groups: dict[Subject, list[Row]] = defaultdict(list)
    subject_of = _SUBJECTS[metric.of]
    for row in mine:
        if (subject := subject_of(row, fleet)) is not None:
            groups[subject].append(row)
    value_of, least = _value_of(metric, question.aggregation), question.min_requests
    return [
        Seen(subject, value_of(group) if not least or _requests(metric, group) >= least else None)
        for subject, group in groups.items()
    ]


def _is_asked_for(row: Row, question: Question) -> bool:
    return question.project in {"", row.project} and question.deployment in {"", row.deployment}


def _deployment(row: Row, fleet: Fleet) -> Subject | None:
    owned = fleet.deployments.get(row.deployment)
    return owned and Subject(Of.DEPLOYMENT, str(owned.id), row.deployment, owned.project, None, owned.id)


def _replica(row: Row, fleet: Fleet) -> Subject | None:
    owned = fleet.deployments.get(row.deployment)
    return owned and Subject(Of.REPLICA, row.replica, row.replica, owned.project, None, owned.id)


def _route(row: Row, fleet: Fleet) -> Subject | None:
    owned = fleet.routes.get(row.route)
    return owned and Subject(Of.ROUTE, str(owned.id), row.route, owned.project, owned.id)


def _gpu(row: Row, _fleet: Fleet) -> Subject:
    return Subject(Of.GPU, f"{row.target} {row.part}", f"{row.part} ({row.target})")


def _gateway(row: Row, _fleet: Fleet) -> Subject:
    return Subject(Of.GATEWAY, row.target, row.target)


_SUBJECTS: dict[Of, Callable[[Row, Fleet], Subject | None]] = {
    Of.DEPLOYMENT: _deployment,
    Of.REPLICA: _replica,
    Of.ROUTE: _route,
    Of.GPU: _gpu,
    Of.GATEWAY: _gateway,
}

Value = Callable[[list[Row]], float | None]
_PLACE = {Aggregation.AVG: 0, Aggregation.MIN: 1, Aggregation.MAX: 2, Aggregation.LAST: 3}
_SCALE = {"kv_cache_use": 100.0}


def _value_of(metric: Metric, aggregation: str) -> Value:
    if aggregation in QUANTILE:
        return lambda group: percentile(QUANTILE[aggregation], group)
    if aggregation == Aggregation.SHARE:
        return _SHARES[metric.name]
    if aggregation == Aggregation.RATE:
        return _rate
    place, scale = _PLACE[Aggregation(aggregation)], _SCALE.get(metric.name, 1.0)
    return lambda group: sum(row.figures[place] for row in group) * scale


def percentile(share: float, group: Sequence[Row]) -> float | None:
    """Of all together; replicas whose engine has other bounds than most are left out."""
    common = Counter(tuple(row.bounds) for row in group).most_common(1)[0][0]
    counts = added([row.figures[1:] for row in group if tuple(row.bounds) == common])
    return quantile(share, common, monotonic(counts))


def _rate(group: Sequence[Row]) -> float | None:
    return sum(row.figures[0] / row.seconds for row in group if row.seconds > 0)


def _requests(metric: Metric, group: Sequence[Row]) -> float:
    """How many the value is made of: those that a share judges, those that a histogram counted."""
    if metric.name in _SHARES:
        return sum(row.figures[0] for row in _judged(group))
    return sum(row.figures[-1] for row in group)


def _judged(group: Iterable[Row]) -> list[Row]:
    return [row for row in group if row.part[:1] in {"2", "5"} or row.part == "429"]


def _share(counted: Callable[[str], bool]) -> Value:
    """Of what was answered, in percent. What was the client's own mistake (4xx but 429) is not counted at all."""

    def share(group: list[Row]) -> float | None:
        judged = _judged(group)
        whole = sum(row.figures[0] for row in judged)
        return 100 * sum(row.figures[0] for row in judged if counted(row.part)) / whole if whole else None

    return share


_SHARES: dict[str, Value] = {
    "failure_rate": _share(lambda status: status.startswith("5")),
    "success_rate": _share(lambda status: status.startswith("2")),
}
