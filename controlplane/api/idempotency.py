"""``Idempotency-Key`` on POST: the same request sent again gets the first one's answer again and changes nothing.

The answer is kept in the transaction of the change itself, so there is never one without the other, whatever dies
between them. A refused request has changed nothing and is not kept: sent again, it is tried again. The answer is kept
for a day, sealed as a whole, because it may hold what is shown once: who lost the first answer on the way gets the key
that was made for them instead of a second one.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from audit.record import Actor
from controlplane.access.asking import standing_in
from controlplane.api.preconditions import TICKET
from controlplane.models import RememberedAnswer
from controlplane.sealing import reveal, seal

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEPT = timedelta(hours=24)
LONGEST = 255
_FORM = re.compile(rf"[!-~]{{1,{LONGEST}}}")


class Reused(APIException):
    """The key has stood before another request."""

    status_code = 409
    default_code = "idempotency_key_reused"


class StillRunning(APIException):
    """The first request with this key is still being worked on."""

    status_code = 409
    default_code = "idempotency_in_progress"
    wait = 1.0
    """seconds, for Retry-After"""


def once(handle: Callable[..., Response], actor: Actor, request: Request, *args: Any, **kwargs: Any) -> Response:
    """What `handle` answers, or what it answered to the same request before.

    Raises `Reused` for another request under the same key, `StillRunning` while the first one is worked on.
    """
    key, fingerprint = _digest(_key_of(request)), _fingerprint(request)
    with transaction.atomic():
        if not _claim(actor, key):
            raise StillRunning(_("The first request with this key is still running: try again."))
        mine = RememberedAnswer.objects.filter(actor_type=actor.type, actor_id=actor.id, key_digest=key)
        known = mine.first()
        if known and known.expires_at > timezone.now():
            return _again(known, fingerprint)
        mine.delete()
        response = handle(request, *args, **kwargs)
        if response.status_code >= 400:
            transaction.set_rollback(True)
        else:
            _remember(response, actor, key, fingerprint)
    return response


def _key_of(request: Request) -> str:
    key = str(request.headers[HEADER])
    if not _FORM.fullmatch(key):
        message = _("Expected 1 to %(most)d visible ASCII characters.") % {"most": LONGEST}
        raise ValidationError({HEADER: [message]})
    return key


def _claim(actor: Actor, key: str) -> bool:
    """True for the only one who works on this key now; the lock ends with the transaction."""
    number = int.from_bytes(hashlib.sha256(f"{actor.type} {actor.id} {key}".encode()).digest()[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])


def _again(known: RememberedAnswer, fingerprint: str) -> Response:
    if known.fingerprint != fingerprint:
        raise Reused(_("This key has been used for another request."))
    etag = {"ETag": known.etag} if known.etag else {}
    return Response(json.loads(reveal(known, "body")), known.status, headers={**etag, REPLAYED: "true"})


def _remember(response: Response, actor: Actor, key: str, fingerprint: str) -> None:
    answer = RememberedAnswer(
        actor_type=actor.type, actor_id=actor.id, key_digest=key, fingerprint=fingerprint,
        status=response.status_code, etag=response.headers.get("ETag", ""), expires_at=timezone.now() + KEPT,
    )  # fmt: skip
    seal(answer, "body", JSONRenderer().render(response.data).decode())
    answer.save(force_insert=True)


def _fingerprint(request: Request) -> str:
    """Of all that decides what the request does; the body as it reads, not as it is spaced.

    The rights of whoever asks belong to it: an answer is not shown again to somebody who may no longer see it.
    """
    parts = [
        sorted(map(str, standing_in(request).grants)),
        request.method, request.path, sorted(request.query_params.lists()), request.headers.get("X-Reason", ""),
        request.headers.get(TICKET, ""), request.data,
    ]  # fmt: skip
    return _digest(json.dumps(parts, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
