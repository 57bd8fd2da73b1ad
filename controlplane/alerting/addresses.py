"""Where a channel may send: checked when it is set, and again each time before it is used. Pure.

The URL of a robot is its secret, so what is shown of one is masked.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qs, urlsplit

from django.conf import settings
from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from controlplane.errors import Invalid


class ChannelKind(TextChoices):
    """By what alerts reach people."""

    DINGTALK = "dingtalk", gettext_lazy("DingTalk robot")
    WECOM = "wecom", gettext_lazy("WeCom robot")
    WEBHOOK = "webhook", gettext_lazy("Webhook")


LONGEST = 1000
HIDDEN = "•••"
_PRINTABLE = re.compile(r"[!-~]+")
_PATHS = {ChannelKind.DINGTALK: ("/robot/send", "access_token"), ChannelKind.WECOM: ("/cgi-bin/webhook/send", "key")}


def check(kind: str, url: str) -> SplitResult:
    """The URL in its parts. Raises `Invalid`, which never repeats the URL."""
    parts = _split(url)
    if kind == ChannelKind.WEBHOOK:
        _check_webhook(parts)
    else:
        _check_robot(ChannelKind(kind), parts)
    return parts


def masked(kind: str, url: str) -> str:
    """The URL with its secret left out: enough to tell two robots apart."""
    parts = _split(url)
    where = f"{parts.scheme}://{parts.netloc}"
    if kind == ChannelKind.WEBHOOK:
        return f"{where}/{HIDDEN}" if parts.path.strip("/") or parts.query else where
    path, name = _PATHS[ChannelKind(kind)]
    return f"{where}{path}?{name}={HIDDEN}{parse_qs(parts.query)[name][0][-4:]}"


def is_named(host: str, names: Sequence[str]) -> bool:
    """Whether the host is one of them; ``*.name`` stands for all below a name."""
    return any(host == it or (it.startswith("*.") and host.endswith(it[1:])) for it in (name.lower() for name in names))


def _split(url: str) -> SplitResult:
    wrong = Invalid(_("That is no URL that a channel can send to."), field="url")
    if len(url) > LONGEST or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise wrong
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        raise wrong from None
    if not parts.hostname or parts.fragment or "@" in parts.netloc:
        raise wrong
    return parts


def _check_robot(kind: ChannelKind, parts: SplitResult) -> None:
    hosts, (path, name) = settings.ROBOT_HOSTS[kind.value], _PATHS[kind]
    if parts.scheme != "https" or parts.netloc.lower() not in {it.lower() for it in hosts}:
        message = _("Robots of this vendor are at https://%(host)s: copy the whole URL that it showed you.")
        raise Invalid(message % {"host": hosts[0] if hosts else "—"}, field="url", code="not_the_vendor")
    query = parse_qs(parts.query, keep_blank_values=True)
    if parts.path != path or set(query) != {name} or len(query[name]) != 1 or not query[name][0]:
        message = _("The URL of such a robot ends in %(end)s.")
        raise Invalid(message % {"end": f"{path}?{name}=…"}, field="url", code="not_the_vendor")


def _check_webhook(parts: SplitResult) -> None:
    """By name alone; what the name leads to is looked at when it is used (`monitoring.outbound`)."""
    if parts.scheme not in {"http", "https"}:
        raise Invalid(_("Use http or https."), field="url")
    host = str(parts.hostname).lower()
    if is_named(host, settings.WEBHOOK_HOSTS):
        return
    try:
        inside = not ip_address(host).is_global
    except ValueError:
        inside = host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    if inside:
        message = _(
            "%(host)s is inside the own network: whoever runs Signalbox can allow it (SIGNALBOX_WEBHOOK_HOSTS)."
        )
        raise Invalid(message % {"host": host[:100]}, field="url", code="host_not_allowed")
