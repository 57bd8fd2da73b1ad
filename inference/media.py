"""Media in a body: data URLs pass, other hosts only if the project allows them.

An engine fetches what a body refers to from inside the company's network, so a reference is a way to reach all that the
engine reaches. Known are the parts of OpenAI's, Anthropic's and vLLM's APIs: ``*_url`` and ``source``. What is
free-form in those APIs (schemas, arguments of tools, metadata) is never fetched and not looked at.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from inference.endpoints.call import Call
from inference.errors import BadRequest, RemoteMedia

_FREE_FORM = frozenset(
    {
        "chat_template_kwargs",
        "functions",
        "metadata",
        "output_config",
        "response_format",
        "structured_outputs",
        "text",
        "tools",
    }
)
# Nothing that two parsers could read differently: no user, no backslash, no brackets, no control characters.
_REMOTE = re.compile(r"https?://([a-z0-9.-]+)(?::[0-9]{1,5})?(?:[/?#][!-\[\]-~]*)?", re.IGNORECASE)
_decode = msgspec.json.Decoder().decode


def check_media(call: Call, hosts: Collection[str]) -> None:
    """Raises `RemoteMedia`. `hosts`: names, or ``*.name`` for all below a name."""
    for name, raw in call.fields.items():
        if name in _FREE_FORM:
            continue
        value = bytes(raw)
        # Most values end here: a key with "url" in it is there as such or with an escape of one of its letters.
        if value.startswith(b'"') or (b"url" not in value and b"\\u00" not in value):
            continue
        for reference in _references(_decoded(name, value)):
            if reference and reference[:5].lower() != "data:" and not _allowed(reference, hosts):
                raise RemoteMedia(
                    "Send media as data URLs: this project may not refer to " + _place(reference), param=name
                )


def _decoded(name: str, value: bytes) -> Any:
    try:
        return _decode(value)
    except (msgspec.MsgspecError, RecursionError):
        raise BadRequest(f"'{name}' holds a number that is out of range or is nested too deeply.", param=name) from None


def _references(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key == "source" or key.endswith("_url"):
                    yield from _urls(inner, bare=key != "source")
                if not (key == "input" and value.get("type") == "tool_use"):
                    waiting.append(inner)


def _urls(inner: Any, *, bare: bool) -> Iterator[str]:
    url = inner.get("url") if isinstance(inner, dict) else inner if bare else None
    if isinstance(url, str):
        yield url


def _allowed(reference: str, hosts: Collection[str]) -> bool:
    match = _REMOTE.fullmatch(reference)
    if match is None:
        return False
    host = match[1].lower()
    return any(host == known or (known.startswith("*.") and host.endswith(known[1:])) for known in hosts)


def _place(reference: str) -> str:
    match = _REMOTE.fullmatch(reference)
    return f"the host {match[1].lower()[:200]}." if match else "that URL."
