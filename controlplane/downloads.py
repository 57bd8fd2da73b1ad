"""Fetching files of exports: by links that expire and are good for one person or machine, streamed in constant memory.

A link alone opens nothing: whoever follows it is asked who they are, and it has to be theirs.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple

from django.core import signing
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from audit.export_files import BLOCK
from audit.record import Actor
from controlplane.actions.download_export import download_export
from controlplane.errors import Conflict, Invalid, NotAllowed
from controlplane.models import Export

GOOD_FOR = timedelta(minutes=10)
_SALT = "signalbox.exports.ticket"
TYPES = {".gz": "application/gzip", ".json": "application/json"}


class File(NamedTuple):
    """What may be fetched of an export; `ticket` goes into the link."""

    name: str
    path: Path
    bytes: int
    ticket: str


def offered(export: Export, actor: Actor) -> list[File]:
    """The files with fresh tickets; none for anybody but who asked for them."""
    if not export.is_asked_for_by(actor.type, actor.id):
        return []
    found = export.files.shown().items()
    return [File(name, path, path.stat().st_size, ticket(export, name, actor)) for name, path in found if path.exists()]


def ticket(export: Export, file: str, actor: Actor) -> str:
    return signing.TimestampSigner(salt=_SALT).sign_object([str(export.pk), file, actor.type, actor.id])


def fetch(request: HttpRequest, export: Export, text: str, *, actor: Actor) -> HttpResponseBase:
    """The file that a ticket names. Raises `Invalid` for no ticket of ours, `NotAllowed` for one that is not theirs
    or too old, `Conflict` when the file is gone.
    """
    try:
        key, file, kind, holder = signing.TimestampSigner(salt=_SALT).unsign_object(text, max_age=GOOD_FOR)
    except signing.SignatureExpired as exc:
        raise NotAllowed(_("The link has expired: take a new one from the export."), code="link_expired") from exc
    except (signing.BadSignature, ValueError, TypeError) as exc:
        raise Invalid(_("Expected a link from the export."), field="ticket") from exc
    if (key, kind, holder) != (str(export.pk), actor.type, actor.id):
        raise NotAllowed(_("The link is somebody else's."), code="not_the_requester")
    path = export.files.shown()[file]
    with transaction.atomic():
        download_export(export, file, actor=actor)
        try:
            return _answer(request, path.open("rb"), path)
        except OSError as exc:
            raise Conflict(_("The file is gone."), code="file_gone") from exc


def _answer(request: HttpRequest, handle: BinaryIO, path: Path) -> HttpResponseBase:
    kind = TYPES.get(path.suffix, "application/octet-stream")
    if not isinstance(request, ASGIRequest):
        return FileResponse(handle, as_attachment=True, filename=path.name, content_type=kind)
    response = StreamingHttpResponse(_blocks(handle), content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{path.name}"'
    response["Content-Length"] = str(path.stat().st_size)
    return response


async def _blocks(handle: BinaryIO) -> AsyncIterator[bytes]:
    """Django reads a whole file into memory before it sends it over ASGI, unless it is given so."""
    try:
        while block := await asyncio.to_thread(handle.read, BLOCK):
            yield block
    finally:
        handle.close()
