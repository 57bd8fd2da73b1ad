"""A deployment's last hour as lines, drawn here as SVG: no script, nothing that a strict policy would stop."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from controlplane.alerting.metrics import written
from controlplane.models import Deployment
from monitoring.figures import added, growth, monotonic, quantile

HOUR, STEP = 3600, 60
WIDTH, HEIGHT = 320.0, 80.0
_SERIES = ("engine_ttft", "engine_generation_tokens", "engine_waiting", "engine_kv_use", "gateway_requests")
_SAMPLES = """
SELECT s.metric, s.id, s.bounds, s.part, floor(extract(epoch FROM at - %(since)s) / %(step)s)::int AS slot,
    (array_agg("values" ORDER BY at))[1:1], (array_agg("values" ORDER BY at DESC))[1:1],
    avg("values"[1]), extract(epoch FROM max(at) - min(at))
FROM monitoring_series s JOIN monitoring_sample ON series = s.id AND at > %(since)s AND at <= %(now)s
WHERE s.deployment = %(deployment)s AND s.metric = ANY(%(metrics)s) AND s.last_at > %(since)s
GROUP BY s.id, slot ORDER BY s.id
"""


class Cell(NamedTuple):
    """One series in one minute."""

    bounds: Sequence[float]
    part: str
    grown: Sequence[float]
    average: float
    seconds: float


Cells = dict[str, dict[int, list[Cell]]]
Line = list[float | None]


def draw(deployment: Deployment) -> list[SafeString]:
    """All charts of the deployment, from one query; none when nothing was ever scraped of it."""
    cells = _cells(deployment.name, timezone.now())
    if not cells:
        return []
    slots = range(HOUR // STEP)
    ttft = cells["engine_ttft"]
    return [
        _chart(_("Time to first token"), "s", [
            ("P50", [_percentile(0.5, ttft[slot]) for slot in slots]),
            ("P99", [_percentile(0.99, ttft[slot]) for slot in slots]),
        ]),
        _chart(_("Generated tokens a second"), "/s", [
            ("", [_rate(cells["engine_generation_tokens"][slot]) for slot in slots]),
        ]),
        _chart(_("Requests waiting in the queue"), "", [
            ("", [_sum(cells["engine_waiting"][slot]) for slot in slots]),
        ]),
        _chart(_("KV cache in use"), "%", [
            ("", [_mean(cells["engine_kv_use"][slot]) for slot in slots]),
        ]),
        _chart(_("Failed requests a minute"), "", [
            ("", [_failed(cells["gateway_requests"][slot]) for slot in slots]),
        ]),
    ]  # fmt: skip


def _cells(name: str, now: datetime) -> Cells:
    asked: dict[str, Any] = {
        "since": now - timedelta(seconds=HOUR), "now": now, "step": STEP, "deployment": name, "metrics": list(_SERIES),
    }  # fmt: skip
    found: Cells = defaultdict(lambda: defaultdict(list))
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLES, asked)
        for metric, _id, bounds, part, slot, first, last, average, seconds in cursor.fetchall():
            cell = Cell(bounds, part, growth(first[0], last[0]), float(average), float(seconds))
            found[metric][slot].append(cell)
    return found


def _percentile(share: float, cells: list[Cell]) -> float | None:
    if not cells:
        return None
    same = [cell for cell in cells if cell.bounds == cells[0].bounds]
    return quantile(share, cells[0].bounds, monotonic(added([cell.grown[1:] for cell in same])))


def _rate(cells: list[Cell]) -> float | None:
    moving = [cell.grown[0] / cell.seconds for cell in cells if cell.seconds > 0]
    return sum(moving) if moving else None


def _sum(cells: list[Cell]) -> float | None:
    return sum(cell.average for cell in cells) if cells else None


def _mean(cells: list[Cell]) -> float | None:
    return 100 * sum(cell.average for cell in cells) / len(cells) if cells else None


def _failed(cells: list[Cell]) -> float | None:
    return sum(cell.grown[0] for cell in cells if cell.part.startswith("5")) if cells else None


def _chart(title: str, unit: str, lines: list[tuple[str, Line]]) -> SafeString:
    """The last hour, with its highest and its latest value in words; a gap is where nothing was known."""
    values = [value for _name, line in lines for value in line if value is not None]
    highest = max(values, default=0.0)
    drawn = format_html_join(
        "", '<path d="{}" fill="none" stroke="currentColor" stroke-width="1.5" opacity="{}"/>',
        (
            (_path(line, highest), "1" if place == len(lines) - 1 else "0.5")
            for place, (_name, line) in enumerate(lines)
        ),
    )  # fmt: skip
    told = " · ".join(f"{name} {written(_latest(line), unit)}".strip() for name, line in lines)
    return format_html(
        '<figure class="sb-card sb-chart"><figcaption><b>{}</b> <span class="sb-small">{} ({} {})</span></figcaption>'
        '<svg viewBox="0 0 {} {}" width="100%" height="80" preserveAspectRatio="none" role="img" aria-label="{}">'
        "{}</svg>"
        "</figure>",
        title, told, _("highest"), written(highest if values else None, unit), WIDTH, HEIGHT, f"{title}: {told}", drawn,
    )  # fmt: skip


def _path(line: Line, highest: float) -> str:
    across, up = WIDTH / max(1, len(line) - 1), (HEIGHT - 4) / (highest or 1.0)
    parts, pen = [], "M"
    for place, value in enumerate(line):
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{place * across:.1f},{HEIGHT - 2 - value * up:.1f}")
        pen = "L"
    return " ".join(parts)


def _latest(line: Line) -> float | None:
    return next((value for value in reversed(line) if value is not None), None)
