"""What is kept of the contents of one request, where its project wants that: masked or whole, encrypted at once.

The input leaves with the intent and the output with the outcome, each in the same transaction. A request of any other
project has none of these.
"""

from hashlib import sha256
from typing import NamedTuple, Protocol

import msgspec

from inference import metrics
from inference.auth import Principal
from inference.contract.bodies import INPUT, KEEPING, MASKED, OUTPUT, Body, BodyKey, Place, encrypt, pack_body
from inference.contract.ids import uuid7_bytes
from inference.errors import AuditUnavailable
from inference.masking import Masked, mask, mask_json
from inference.register import Register
from inference.request import unix_microseconds
from inference.streamed_text import StreamedText

_SSE = (b"data:", b"event:", b"id:", b":", b"retry:")
"""how a stream of events begins, and no JSON does"""
_encode = msgspec.json.Encoder().encode


class Content(NamedTuple):
    kept: bytes
    size: int
    """bytes that there were"""
    truncated: bool


class Digesting(Protocol):
    """What an answer goes through on its way out."""

    def update(self, piece: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class Output:
    """Stands in the place of the digest of an answer that goes out, and keeps of it what is to be kept."""

    def __init__(self, mode: str, most: int) -> None:
        self._digest = sha256()
        self._mode = mode
        self._most = most
        self._kept = bytearray()
        self._size = 0
        self._text: StreamedText | None = None

    def update(self, piece: bytes) -> None:
        self._digest.update(piece)
        if not self._size and self._mode == MASKED and piece.startswith(_SSE):
            self._text = StreamedText(self._most)
        self._size += len(piece)
        if self._text is not None:
            self._text.feed(piece)
        elif len(self._kept) < self._most:
            self._kept += piece[: self._most - len(self._kept)]

    def digest(self) -> bytes:
        return self._digest.digest()

    def content(self, project: str) -> Content | None:
        """None when nothing was answered."""
        if not self._size:
            return None
        if self._text is not None:
            texts = {place: _masked_text(text, self._text.truncated) for place, text in self._text.texts.items()}
            _count(project, *texts.values())
            told = _encode({"streamed": {place: masked.text for place, masked in texts.items()}})
            return Content(told, self._text.size, self._text.truncated)
        return whole(bytes(self._kept), self._size, self._mode, project)


def whole(kept: bytes, size: int, mode: str, project: str) -> Content:
    """The content in a body of which `kept` is the beginning."""
    truncated = size > len(kept)
    if mode == MASKED:
        masked = mask_json(kept.decode("utf-8", "ignore" if truncated else "replace"), whole=not truncated)
        _count(project, masked)
        kept = masked.text.encode("utf-8", "replace")
    return Content(kept, size, truncated)


def _masked_text(text: str, truncated: bool) -> Masked:
    """One text of a stream; arguments of tools are JSON."""
    return mask_json(text, whole=not truncated) if text.lstrip()[:1] in {"{", "["} else mask(text)


def _count(project: str, *masked: Masked) -> None:
    metrics.TALLY.count(metrics.BODIES, (project, MASKED if any(m.counts for m in masked) else "clean"))
    for text in masked:
        for kind, number in text.counts.items():
            metrics.TALLY.count(metrics.MASKED, (project, kind.value), number)


class Bodies:
    """The two bodies of a request on their way into the register."""

    __slots__ = ("_domain", "_key", "_most", "_project", "_register", "mode", "output")

    def __init__(self, register: Register, principal: Principal, most: int) -> None:
        """Raises `AuditUnavailable` when there is no key to encrypt to: nothing is served that is not kept."""
        key = BodyKey.parse(principal.body_key)
        if key is None:
            raise AuditUnavailable
        self._register = register
        self._key = key
        self._project = principal.project
        self._domain = principal.data_domain
        self.mode = principal.register_mode
        self._most = most
        self.output = Output(self.mode, most)

    def keep_input(self, event_id: bytes, body: bytes) -> None:
        """Goes with the event that is appended next."""
        self._keep(event_id, INPUT, whole(body[: self._most], len(body), self.mode, self._project))

    def keep_output(self, event_id: bytes) -> None:
        """The same for what was answered, if anything was."""
        content = self.output.content(self._project)
        if content is not None:
            self._keep(event_id, OUTPUT, content)

    def _keep(self, event_id: bytes, side: str, content: Content) -> None:
        place = Place(event_id, side, self._project, self._key.id)
        body = Body(
            place=place, data_domain=self._domain, mode=self.mode, size=content.size, truncated=content.truncated
        )
        sealed = encrypt(content.kept, place, self._key.public)
        self._register.keep(pack_body(body, uuid7_bytes(), unix_microseconds(), sealed))


def bodies_of(register: Register, principal: Principal, most: int) -> Bodies | None:
    """What keeps a request's bodies; None where the project keeps none."""
    return Bodies(register, principal, most) if principal.register_mode in KEEPING else None
