"""Which of a route's rules a request falls under. Pure."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from inference.contract.tables import RuleEntry

Headers = Iterable[tuple[bytes, bytes]]
"""a request's, names in lower case"""


class Conditions(msgspec.Struct, frozen=True):
    """What a rule asks for; all of it must be so. What is empty or None asks for nothing."""

    endpoints: frozenset[str]
    prompt_tokens_from: int | None
    prompt_tokens_to: int | None
    header: bytes
    header_values: frozenset[bytes]


def conditions(entry: RuleEntry) -> Conditions:
    """A published rule's conditions as requests are compared with them."""
    return Conditions(
        endpoints=frozenset(entry.endpoints),
        prompt_tokens_from=entry.prompt_tokens_from,
        prompt_tokens_to=entry.prompt_tokens_to,
        header=entry.header.lower().encode(),
        header_values=frozenset(value.encode() for value in entry.header_values),
    )


def first_fitting(
    rules: Sequence[Conditions], *, endpoint: str, prompt_tokens: Callable[[], int], headers: Headers
) -> int | None:
    """The index of the first rule that a request fits; None when it fits none. The prompt is measured only if asked."""
    for index, rule in enumerate(rules):
        if (
            (not rule.endpoints or endpoint in rule.endpoints)
            and (not rule.header or _has_header(rule, headers))
            and _has_length(rule, prompt_tokens)
        ):
            return index
    return None


def first_value(headers: Headers, name: bytes) -> bytes:
    """A header's first value; empty when it is not there."""
    return next((value for given, value in headers if given == name), b"")


def _has_header(rule: Conditions, headers: Headers) -> bool:
    values = [value for name, value in headers if name == rule.header]
    if not rule.header_values:
        return bool(values)
    return not rule.header_values.isdisjoint(values)


def _has_length(rule: Conditions, prompt_tokens: Callable[[], int]) -> bool:
    least, end = rule.prompt_tokens_from, rule.prompt_tokens_to
    if least is None and end is None:
        return True
    tokens = prompt_tokens()
    return (least is None or tokens >= least) and (end is None or tokens < end)
