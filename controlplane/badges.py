"""States as signal aspects: a lamp in the colour of what it means, beside the word."""

from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

_TONES = {
    "clear": {"ready", "available", "active", "ok", "sent"},
    "caution": {
        "pending",
        "starting",
        "progressing",
        "degraded",
        "stopping",
        "expiring",
        "recovering",
        "warning",
        "sending",
    },
    "danger": {"failed", "unhealthy", "backoff", "crash_loop", "firing", "critical", "error"},
    "dark": {"inactive", "nodata", "no_data", "waiting", "stopped", "retired", "revoked", "expired", "deleting"},
}
_TONE_OF = {state: tone for tone, states in _TONES.items() for state in states}
MOVING = frozenset({"starting", "progressing", "stopping", "pending"})
"""states that pass by themselves: their lamp blinks slowly"""


def badge(state: str, label: Any) -> SafeString:
    """The state's word with its lamp."""
    tone = _TONE_OF.get(state, "plain")
    moving = " sb-lamp-moving" if state in MOVING else ""
    return format_html(
        '<span class="sb-badge sb-{}" data-state="{}"><i class="sb-lamp{}"></i>{}</span>', tone, state, moving, label
    )
