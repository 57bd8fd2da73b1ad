"""What a change may hang on: that nobody changed the object before (`If-Match`), and that it says why (`reason`)."""

import hashlib
import re
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request

from controlplane.api.fields import LONGEST_REASON
from controlplane.errors import Invalid
from controlplane.text import LONGEST_TICKET, unusable_character

TICKET = "X-Signalbox-Ticket"
_TAG = re.compile(r'\s*(W/)?("[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|\Z)')


class Stale(APIException):
    """Somebody else changed the object: read it again."""

    status_code = 412
    default_code = "stale"


def etag_of(instance: Model) -> str:
    """A strong tag of what is desired. What is observed (a deployment's status) moves by itself and does not count."""
    version = getattr(instance, "updated_at", None)
    values = version.isoformat() if version else repr(sorted(_plain_values(instance).items()))
    return f'"{hashlib.sha256(f"{instance.pk} {values}".encode()).hexdigest()[:24]}"'


def _plain_values(instance: Model) -> dict[str, str]:
    return {field.attname: str(getattr(instance, field.attname)) for field in instance._meta.concrete_fields}  # noqa: SLF001


def check_if_match(request: Request, instance: Model) -> None:
    """Raise `Stale` unless ``If-Match`` is absent, ``*`` or names the object as it is now. Call with the row locked."""
    header = request.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return
    tags, end = set(), 0
    while match := _TAG.match(header, end):
        end = match.end()
        if not match[1]:  # a weak tag never matches
            tags.add(match[2])
    if end != len(header) or not header.strip():
        raise _invalid("If-Match", _("Expected an ETag in double quotes."))
    if etag_of(instance) not in tags:
        raise Stale(_("The object was changed since: read it again."))


def reason_of(request: Request, data: dict[str, Any], *, required: bool = False) -> str:
    """The reason in the body, else in ``X-Reason`` (UTF-8). Raises `Invalid` when it is required and absent."""
    header = _header_text(request.headers.get("X-Reason", ""))
    if unusable_character(header) or len(header) > LONGEST_REASON:
        raise _invalid("X-Reason", _("Expected at most %(most)d characters in one line.") % {"most": LONGEST_REASON})
    reason: str = data.pop("reason", "") or header
    if required and not reason.strip():
        message = _("Say why, in the body's reason or in X-Reason.")
        raise Invalid(message, field="reason", code="reason_required")
    return reason


def ticket_of(request: Request) -> str:
    """``X-Signalbox-Ticket`` (UTF-8): what the request is done for. Raises ValidationError."""
    ticket = _header_text(request.headers.get(TICKET, "")).strip()
    if unusable_character(ticket) or len(ticket) > LONGEST_TICKET:
        raise _invalid(TICKET, _("Expected at most %(most)d characters in one line.") % {"most": LONGEST_TICKET})
    return ticket


def _header_text(raw: str) -> str:
    """Header bytes arrive as Latin-1; people write UTF-8."""
    try:
        return raw.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return raw


def _invalid(field: str, message: str) -> ValidationError:
    return ValidationError({field: [message]})
