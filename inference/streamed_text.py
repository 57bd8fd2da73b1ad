"""The text that a stream of events tells, joined: a number that two chunks share is one number again.

Knows the deltas of OpenAI's chats, completions and responses and of Anthropic's messages; what else events say is
not text of the answer.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode
_NO_TEXT = frozenset({"role", "type", "stop_reason", "stop_sequence", "id", "object", "signature"})


class StreamedText:
    """Takes whole events; `texts` are the texts by where they belong, such as ``choices.0.content``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: dict[str, list[str]] = {}
        self._kept = 0
        self.size = 0
        """bytes of text that were told"""

    @property
    def truncated(self) -> bool:
        return self.size > self._kept

    @property
    def texts(self) -> dict[str, str]:
        return {place: "".join(pieces) for place, pieces in self._pieces.items()}

    def feed(self, events: bytes) -> None:
        for line in events.splitlines():
            if line.startswith(b"data:") and line[5:7] not in {b" [", b"["}:
                for place, text in deltas(_read(line[5:])):
                    self._take(place, text)

    def _take(self, place: str, text: str) -> None:
        length = len(text.encode("utf-8", "replace"))
        if self._kept == self.size and self._kept + length <= self._most:  # what follows a gap would be no text
            self._pieces.setdefault(place, []).append(text)
            self._kept += length
        self.size += length


def _read(data: bytes) -> Any:
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def deltas(event: Any) -> Iterator[tuple[str, str]]:
    """The pieces of text in one event, each with its place."""
    if not isinstance(event, dict):
        return
    delta = event.get("delta")
    if isinstance(delta, str):  # OpenAI's responses
        yield f"{event.get('type', 'output')}.{event.get('output_index', 0)}", delta
    elif isinstance(delta, dict):  # Anthropic's messages
        yield from _texts(f"content.{event.get('index', 0)}", delta)
    for choice in _dicts(event.get("choices")):
        place = f"choices.{choice.get('index', 0)}"
        if isinstance(text := choice.get("text"), str):
            yield f"{place}.text", text
        if isinstance(told := choice.get("delta"), dict):
            yield from _texts(place, told)
            for call in _dicts(told.get("tool_calls")):
                if isinstance(function := call.get("function"), dict):
                    yield from _texts(f"{place}.tool_calls.{call.get('index', 0)}", function)


def _texts(place: str, told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, text in told.items():
        if isinstance(text, str) and text and name not in _NO_TEXT:
            yield f"{place}.{name}", text


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
