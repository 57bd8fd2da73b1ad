"""What the console's templates need beyond Django's and Unfold's own."""

import json
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from audit.models import Event
from controlplane import badges
from controlplane.access.reading import may_read_bodies

register = template.Library()


@register.simple_tag
def state_badge(state: str, label: Any) -> SafeString:
    """The state's word with its lamp."""
    return badges.badge(state, label)


@register.simple_tag(takes_context=True)
def may_read_contents(context: Any, event: Event) -> bool:
    """Whether something is kept of the event's request that whoever asks may read."""
    return bool((event.detail or {}).get("kept")) and may_read_bodies(context["request"], event)


@register.filter
def as_json(value: Any) -> str:
    """Readable JSON of a value, to be shown (it is escaped like any text)."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


@register.filter
def join_tests(first: str, second: Any) -> str:
    """``first-second``, for data-testid attributes."""
    return f"{first}-{second}"


@register.filter
def is_checkbox(field: Any) -> bool:
    """A single tick box, whose label stands behind it."""
    return getattr(field.field.widget, "input_type", "") == "checkbox" and not hasattr(field.field, "choices")


@register.simple_block_tag
def table(content: SafeString, testid: str, *headings: str) -> SafeString:
    """A page's own table around the rows that it encloses; without headings it has no head."""
    return render_to_string("console/table.html", {"testid": testid, "headings": headings, "rows": content})


@register.simple_tag
def deployment_badge(deployment: Any) -> SafeString:
    """The state of a deployment, as its own page shows it."""
    from controlplane.admin.deployments import deployment_state  # noqa: PLC0415 - pages use tags, tags use pages

    return deployment_state(deployment)


@register.filter
def grouped(number: int) -> str:
    """1,234,567: read the same in both languages."""
    return f"{number:,}"
