"""Rolling the register up into usage by day: each outcome is counted once, whenever it arrives.

What is new is told by the register's seals: each binds the entries that were committed since the one before, late ones
from a spool included, and no entry twice. So the number of the last seal that is counted is all that has to be
remembered; it moves on in the transaction that counts, and whoever holds its row is the only one who does.
"""

import time
from datetime import datetime
from typing import NamedTuple

from celery import shared_task
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from controlplane.models import UsageProgress

BATCH = 50_000
"""entries in one transaction, but for a seal that has more"""
MOST_SEALS = 500
SECONDS = 60.0
"""after which a task leaves the rest to the next"""

_NEXT = """
SELECT number, count, first_at, last_at FROM audit_seal WHERE number > %s ORDER BY number LIMIT %s
"""
_COUNT = """
WITH run AS (
    SELECT r->>0 AS writer, (r->>1)::bigint AS first, (r->>2)::bigint AS last
    FROM audit_seal, jsonb_array_elements(ranges) AS r WHERE number > %(after)s AND number <= %(upto)s
), outcome AS (
    SELECT (e.at AT TIME ZONE %(zone)s)::date AS day, e.project, e.actor_id, e.actor_name, e.route, e.model_version,
        e.status NOT IN ('ok', 'client_closed') AS failed, coalesce(e.prompt_tokens, 0)::numeric AS prompt,
        coalesce(e.completion_tokens, 0)::numeric AS completion, e.at
    FROM run JOIN audit_event e ON e.writer COLLATE "C" = run.writer COLLATE "C"
        AND e.writer_seq BETWEEN run.first AND run.last AND e.writer_seq > 0
    WHERE e.kind = 'outcome' AND e.at BETWEEN %(first_at)s AND %(last_at)s
), price AS (
    SELECT m.name || ':' || v.name AS version, max(v.prompt_price_micros) AS prompt,
        max(v.completion_price_micros) AS completion
    FROM controlplane_modelversion v JOIN controlplane_model m ON m.id = v.model_id GROUP BY 1
)
INSERT INTO controlplane_usage AS known (
    id, created_at, updated_at, day, project_id, project_name, key_id, key_name, route, version,
    requests, failed, prompt_tokens, completion_tokens, cost_micros
)
SELECT gen_random_uuid(), now(), now(), o.day, p.id, o.project, o.actor_id,
    (array_agg(o.actor_name ORDER BY o.at DESC))[1], o.route, o.model_version,
    count(*), count(*) FILTER (WHERE o.failed), sum(o.prompt), sum(o.completion),
    coalesce(sum(ceil((o.prompt * price.prompt + o.completion * price.completion) / 1000000)), 0)
FROM outcome o
LEFT JOIN controlplane_project p ON p.name = o.project
LEFT JOIN price ON price.version = o.model_version
GROUP BY o.day, p.id, o.project, o.actor_id, o.route, o.model_version
ORDER BY o.day, o.project, o.actor_id, o.route, o.model_version
ON CONFLICT (day, project_name, key_id, route, version) DO UPDATE SET
    updated_at = excluded.updated_at, key_name = excluded.key_name,
    requests = known.requests + excluded.requests, failed = known.failed + excluded.failed,
    prompt_tokens = known.prompt_tokens + excluded.prompt_tokens,
    completion_tokens = known.completion_tokens + excluded.completion_tokens,
    cost_micros = known.cost_micros + excluded.cost_micros
"""


class Part(NamedTuple):
    """Seals that are counted together: up to this one, with entries of this time."""

    upto: int
    first_at: datetime | None
    last_at: datetime | None


@shared_task
def roll_up() -> None:
    """Count what was sealed since the last time. Whoever comes while another one counts leaves it to that one."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and _roll_up_a_part():
        pass


@transaction.atomic
def _roll_up_a_part() -> bool:
    """False when there is nothing more to do for this one."""
    UsageProgress.objects.bulk_create([UsageProgress(pk=1)], ignore_conflicts=True)
    progress = UsageProgress.objects.select_for_update(skip_locked=True).filter(pk=1).first()
    if progress is None or (part := _next_part(progress.seal)) is None:
        return False
    if part.first_at is not None:
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, {"after": progress.seal, "zone": settings.TIME_ZONE, **part._asdict()})
    progress.seal, progress.at = part.upto, timezone.now()
    progress.save()
    return True


def _next_part(after: int) -> Part | None:
    """As many of the next seals as make a batch; None without any."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, [after, MOST_SEALS])
        seals = cursor.fetchall()
    upto, entries, times = after, 0, []
    for number, count, first_at, last_at in seals:
        if entries and entries + count > BATCH:
            break
        upto, entries = number, entries + count
        times += [at for at in (first_at, last_at) if at is not None]
    return Part(upto, min(times, default=None), max(times, default=None)) if seals else None
