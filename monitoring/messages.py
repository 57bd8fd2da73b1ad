"""What people read at three in the morning: what, where, since when, how bad, what to do, and a link.

The same Markdown serves DingTalk and WeCom: headings, bold, quotes and links are what both know.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from controlplane.alerting.metrics import METRICS, RANK, Aggregation, Severity, written
from controlplane.alerting.presets import advice_of, name_of
from controlplane.models import Alert, Channel, Notice
from monitoring.transports.base import Message

_MARKS = re.compile(r"[<>\[\]`*#|\\\x00-\x1f\x7f]")
MINUTE, HOUR, DAY = 60, 3600, 86_400


class Composed(NamedTuple):
    """A message, and how many of the notices it tells of."""

    message: Message
    used: int


def compose(
    notices: Sequence[Notice], *, language: str, most_bytes: int, twice: bool, now: datetime
) -> Composed:  # fmt: skip
    """As many of the notices, in their order, as fit into one message; at least the first one.

    `twice`: it may have been sent before.
    """
    with override(language):
        used = _most_that_fit(notices, most_bytes, twice, now)
        return Composed(_message(notices[:used], twice, now), used)


def test_message(channel: Channel, now: datetime) -> Message:
    """What the test button sends."""
    with override(channel.language):
        title = _("Test message of Signalbox")
        lines = [
            f"### {title}",
            _line(_("Channel"), plain(channel.name)),
            _line(_("Time"), moment(now)),
            _("Alerts reach you here. Nothing is to be done."),
        ]
        return Message(title, "\n\n".join(lines), firing=False)


def _most_that_fit(notices: Sequence[Notice], most_bytes: int, twice: bool, now: datetime) -> int:
    low, high = 1, len(notices)
    while low < high:
        middle = (low + high + 1) // 2
        if len(_text(notices[:middle], twice, now)[1].encode()) <= most_bytes:
            low = middle
        else:
            high = middle - 1
    return low


def _message(notices: Sequence[Notice], twice: bool, now: datetime) -> Message:
    title, text = _text(notices, twice, now)
    firing = any(notice.kind != Notice.Kind.RESOLVED for notice in notices)
    worst = max((notice.alert.severity for notice in notices), key=RANK.__getitem__)
    return Message(title[:300], text, [for_machines(notice) for notice in notices], firing, worst)


def _text(notices: Sequence[Notice], twice: bool, now: datetime) -> tuple[str, str]:
    title, lines = _one(notices[0], now) if len(notices) == 1 else _digest(notices)
    if twice:
        title = "[" + _("Perhaps a duplicate") + "] " + title
    return title, "\n\n".join([f"### {title}", *lines])


def _one(notice: Notice, now: datetime) -> tuple[str, list[str]]:
    alert = notice.alert
    title = f"[{_mark(notice)}] {plain(name_of(alert))} · {plain(alert.subject)}"
    lines = [
        _line(_("What"), f"{METRICS[alert.metric].label}, {_how(alert)}"),
        _line(_("Where"), plain(alert.subject)),
        _line(_("Value"), _value(notice) + " (" + _("threshold") + f" {_threshold(alert)})"),
        _line(_("Since"), f"{moment(alert.began_at)} ({lasting((alert.ended_at or now) - alert.began_at)})"),
    ]
    if notice.kind != Notice.Kind.RESOLVED and (text := advice_of(alert)):
        lines.append(_line(_("What to do"), plain(text)))
    return title, [*lines, _link(_("Open the alert"), link(alert))]


def _line(label: str, text: str) -> str:
    return f"> **{label}**: {text}"


def _link(label: str, address: str) -> str:
    return f"[{label}]({address})"


def _digest(notices: Sequence[Notice]) -> tuple[str, list[str]]:
    """All by name, gathered by rule, worst first."""
    fired = [notice for notice in notices if notice.kind != Notice.Kind.RESOLVED]
    over = [notice for notice in notices if notice.kind == Notice.Kind.RESOLVED]
    parts = []
    if fired:
        parts.append(ngettext("%(n)d alert is firing", "%(n)d alerts are firing", len(fired)) % {"n": len(fired)})
    if over:
        parts.append(ngettext("%(n)d has recovered", "%(n)d have recovered", len(over)) % {"n": len(over)})
    worst = max((notice.alert.severity for notice in fired or over), key=RANK.__getitem__)
    mark = str(Severity(worst).label) if fired else _("Recovered")
    title = f"[{mark}] " + _(", ").join(parts)
    lines = []
    for (mark, name), group in _by_rule([*fired, *over]).items():
        told = _(", ").join(f"{plain(notice.alert.subject)} {_value(notice)}" for notice in group)
        lines.append(f"> **[{mark}] {plain(name)}** ({len(group)}): {told}")
    return title, [*lines, _link(_("Open the alerts"), _address(reverse("admin:controlplane_alert_changelist")))]


def _by_rule(notices: Sequence[Notice]) -> dict[tuple[str, str], list[Notice]]:
    found: dict[tuple[str, str], list[Notice]] = {}
    for notice in sorted(notices, key=lambda it: (it.kind == Notice.Kind.RESOLVED, -RANK[it.alert.severity])):
        found.setdefault((_mark(notice), name_of(notice.alert)), []).append(notice)
    return found


def _mark(notice: Notice) -> str:
    if notice.kind == Notice.Kind.RESOLVED:
        return _("Recovered")
    severity = str(Severity(notice.alert.severity).label)
    return severity + _(", ") + _("still firing") if notice.kind == Notice.Kind.REPEAT else severity


def _how(alert: Alert) -> str:
    aggregation = Aggregation(alert.aggregation)
    if not METRICS[alert.metric].series:
        return str(aggregation.label)
    return f"{aggregation.label} / {span(alert.window_seconds)}"


def _value(notice: Notice) -> str:
    value = notice.value if notice.value is not None else notice.alert.value
    return _with_unit(notice.alert, value)


def _with_unit(alert: Alert, value: float | None) -> str:
    return written(value, METRICS[alert.metric].unit)


def _threshold(alert: Alert) -> str:
    """With signs that no renderer takes for HTML."""
    return f"{alert.comparison.translate(_WIDE)} {_with_unit(alert, alert.threshold)}"


_WIDE = str.maketrans("<>=", "＜＞＝")


def moment(at: datetime) -> str:
    """In the instance's zone, which it names."""
    local = timezone.localtime(at)
    return f"{local:%Y-%m-%d %H:%M:%S} {local:%Z}"


def lasting(length: Any) -> str:
    """For how long by now."""
    return _("for %(span)s") % {"span": span(int(length.total_seconds()))}


def span(seconds: int) -> str:
    """So many seconds in the unit that fits."""
    if seconds < 2 * MINUTE:
        return ngettext("%(n)d second", "%(n)d seconds", seconds) % {"n": seconds}
    if seconds < 2 * HOUR:
        return ngettext("%(n)d minute", "%(n)d minutes", seconds // MINUTE) % {"n": seconds // MINUTE}
    if seconds < 2 * DAY:
        return ngettext("%(n)d hour", "%(n)d hours", seconds // HOUR) % {"n": seconds // HOUR}
    return ngettext("%(n)d day", "%(n)d days", seconds // DAY) % {"n": seconds // DAY}


def plain(text: str) -> str:
    """Without what Markdown would read as more than letters: names may come from exporters."""
    return _MARKS.sub(" ", text).strip()


def link(alert: Alert) -> str:
    return _address(reverse("admin:controlplane_alert_change", args=[alert.pk]))


def _address(path: str) -> str:
    return settings.CONSOLE_URL.rstrip("/") + path


def for_machines(notice: Notice) -> dict[str, Any]:
    """One alert as Alertmanager's webhook shows it; names are not translated there."""
    alert = notice.alert
    labels = {key: value for key, value in alert.labels.items() if not key.endswith("_id")}
    over = notice.kind == Notice.Kind.RESOLVED
    return {
        "status": "resolved" if over else "firing",
        "labels": {"alertname": alert.rule_name, "severity": alert.severity, "metric": alert.metric, **labels},
        "annotations": {
            "summary": f"{name_of(alert)}: {alert.subject}",
            "description": f"{_value(notice)} ({alert.comparison} {_with_unit(alert, alert.threshold)})",
        },
        "startsAt": _rfc3339(alert.fired_at or alert.began_at),
        "endsAt": _rfc3339(alert.ended_at) if over and alert.ended_at else "0001-01-01T00:00:00Z",
        "generatorURL": link(alert),
        "fingerprint": alert.fingerprint[:16],
    }


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
