"""Server-sent events of an engine on their way to the client: whole events, usage read in passing, never buffered.

Formats are data: what differs between APIs stands in a `StreamFormat`.
"""

import re
from collections.abc import Callable
from typing import Annotated

import msgspec

from inference.errors import GatewayError, UpstreamError

LONGEST_EVENT = 8 * 1024 * 1024
"""a partial event longer than this is not an event"""
_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")
_DATA = re.compile(rb"^data:[ ]?(.*?)\r?$", re.MULTILINE)

Count = Annotated[int, msgspec.Meta(ge=0)]


class Usage(msgspec.Struct, frozen=True):
    """Tokens as the engine counted them."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0

    def with_later(self, later: "Usage") -> "Usage":
        """What both tell. Counts only grow, and an event may tell one of them alone."""
        return Usage(max(self.prompt_tokens, later.prompt_tokens), max(self.completion_tokens, later.completion_tokens))


class StreamFormat(msgspec.Struct, frozen=True):
    """How one API streams."""

    done: bytes
    """no event without these bytes is the last one"""
    ends: Callable[[bytes], bool]
    """whether an event's data says that the engine is through"""
    usage: bytes
    """no event without these bytes tells the usage"""
    read: Callable[[bytes], tuple[Usage | None, bool]]
    """the usage in an event's data, and whether it tells nothing else"""
    error: Callable[[GatewayError, str, int], bytes]
    """an error as an event of the request with that id, after so many events"""


class EventStream:
    """Passes events through. `feed` answers with what the client may have now; the end is held back for `finish`."""

    def __init__(self, fmt: StreamFormat, *, strip_usage: bool) -> None:
        self._format = fmt
        self._strip = strip_usage
        self._partial = b""
        self._held = b""
        self.done = False
        """the engine has said that it is through"""
        self.usage: Usage | None = None

    def feed(self, piece: bytes) -> bytes:
        """Whole events out of `piece` and what was left before; part of an event waits for its rest.

        Raises `UpstreamError` when no event ever ends.
        """
        if self.done:
            return b""
        if self._partial:
            piece = self._partial + piece
            self._partial = b""
        whole = piece if piece.endswith(b"\n\n") else self._split_off_partial(piece)
        marked = self._first_mark(whole)
        if marked < 0:
            return whole
        plain = _end_of_last_event(whole, marked)
        return whole[:plain] + self._sift(whole[plain:])

    def finish(self) -> bytes:
        """What was held back. Raises `UpstreamError` when the engine broke off before it was through."""
        if not self.done:
            raise UpstreamError("The engine broke off in the middle of its answer.", code="stream_cut")
        return self._held

    def _first_mark(self, whole: bytes) -> int:
        """Where the first bytes stand that could tell usage or the end; -1 in most pieces, which then need no look."""
        usage, done = whole.find(self._format.usage), whole.find(self._format.done)
        return min(usage, done) if usage >= 0 and done >= 0 else max(usage, done)

    def _split_off_partial(self, piece: bytes) -> bytes:
        if b"\r" in piece:
            end = max((match.end() for match in _BLANK_LINE.finditer(piece)), default=0)
        else:
            end = _end_of_last_event(piece, len(piece))
        self._partial = piece[end:]
        if len(self._partial) > LONGEST_EVENT:
            raise UpstreamError("The engine sent an event without an end.", code="bad_stream")
        return piece[:end]

    def _sift(self, whole: bytes) -> bytes:
        """Look at each event: read usage, take it out if unwanted, hold the last one back."""
        kept = []
        for event in _events(whole):
            if self.done:
                break  # nothing may follow the last event
            if self._format.done in event and self._format.ends(_data(event)):
                self.done = True
                self._held = event
                if self._format.usage in event:
                    self._is_unwanted_usage(event)
            elif not (self._format.usage in event and self._is_unwanted_usage(event)):
                kept.append(event)
        return b"".join(kept)

    def _is_unwanted_usage(self, event: bytes) -> bool:
        usage, alone = self._format.read(_data(event))
        if usage is not None:
            self.usage = self.usage.with_later(usage) if self.usage else usage
        return alone and self._strip


def _end_of_last_event(piece: bytes, before: int) -> int:
    """Where the last event ends that lies wholly before that place; 0 without one."""
    end = piece.rfind(b"\n\n", 0, before)
    return end + 2 if end >= 0 else 0


def _events(whole: bytes) -> list[bytes]:
    events, start = [], 0
    for match in _BLANK_LINE.finditer(whole):
        events.append(whole[start : match.end()])
        start = match.end()
    return events


def _data(event: bytes) -> bytes:
    return b"\n".join(_DATA.findall(event.replace(b"\r\n", b"\n").replace(b"\r", b"\n")))
