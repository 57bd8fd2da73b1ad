"""What a request can use at most, read off its body. Pure.

A prompt is estimated at four bytes a token. What may be generated stands in the body; where it does not, the engine
takes what is left of its context.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from inference.contract.budgets import COST, MICROS, Price
from inference.endpoints.call import Call
from inference.limits.plan import Spend

UNKNOWN_CONTEXT = 4096
"""taken for the context of a model that does not tell it"""
UNASKED_COMPLETION = 16
"""what engines generate on /v1/completions when nothing is asked for, as OpenAI has always done"""
MOST_ANSWERS = 128
"""more answers to one prompt no engine gives"""
_COMPLETION_FIELDS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_SILENT = frozenset(
    {f"inference.{name}" for name in ("embedding", "rerank", "score", "tokenize", "detokenize", "count_tokens")}
)
"""operations that read and generate nothing"""
_ASKS_FOR = {"inference.chat": "max_tokens", "inference.response": "max_output_tokens"}
"""where a request need not say how much it wants, and how it would"""

_decode_count = msgspec.json.Decoder(int).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Reservation(NamedTuple):
    """`completion` is for all `answers` together. `field` is the body's that would lower it; empty if it says so."""

    prompt: int
    completion: int = 0
    answers: int = 1
    field: str = ""
    open_ended: bool = False
    """the client has not said how much it wants"""
    lowered: bool = False
    """the body has to say now that it wants no more"""

    @property
    def whole(self) -> int:
        return self.prompt + self.completion

    def tokens(self, least: int | None) -> int:
        """For limits of tokens a minute, the smallest of which is `least`.

        A request that says nothing must not be refused for ever because its model has a large context.
        """
        if least is None or not self.open_ended:
            return self.whole
        return max(self.prompt + 1, min(self.whole, least))

    def spend(self, prices: Iterable[Price]) -> Spend:
        """For budgets; whichever of the versions answers."""
        return Spend(self.whole, max((price.of(self.prompt, self.completion) for price in prices), default=0))

    def within(self, left: int, unit: str, prices: Iterable[Price]) -> "Reservation | None":
        """The same for a shorter answer, that takes no more than `left` of a budget; None when there is none."""
        if not self.field:
            return None
        if unit == COST:
            rooms = [
                (left * MICROS - self.prompt * price.prompt) // price.completion for price in prices if price.completion
            ]
        else:
            rooms = [left - self.prompt]
        each = min(rooms, default=0) // self.answers
        shorter = self._replace(completion=each * self.answers, lowered=True)
        return shorter if 0 < shorter.completion < self.completion else None


def reservation(call: Call, operation: str, context: int | None) -> Reservation:
    """What the request can use. `context` is that of its model, None where it is not known."""
    context = context or UNKNOWN_CONTEXT
    prompts = _prompts(call)
    prompt = min(call.estimated_tokens(), context * prompts)
    if operation in _SILENT:
        return Reservation(prompt)
    answers = prompts * max(1, min(_count(call, "n") or 1, MOST_ANSWERS))
    asked = next((count for name in _COMPLETION_FIELDS if (count := _count(call, name)) is not None), None)
    if asked is not None:
        return Reservation(prompt, answers * min(max(asked, 0), context), answers)
    if operation == "inference.completion":
        return Reservation(prompt, answers * min(UNASKED_COMPLETION, context), answers)
    rest = answers * max(0, context - prompt)
    return Reservation(prompt, rest, answers, _ASKS_FOR.get(operation, ""), open_ended=True)


def _count(call: Call, name: str) -> int | None:
    """A number in the body; None when it is missing or none at all, which the engine will say."""
    if name not in call.fields:
        return None
    try:
        return _decode_count(call.fields[name])
    except (msgspec.MsgspecError, ValueError):
        return None


def _prompts(call: Call) -> int:
    """How many prompts ``/v1/completions`` was given in one body."""
    raw = bytes(call.fields.get("prompt", b""))
    if raw[:1] != b"[":
        return 1
    items = _decode_list(raw)
    return len(items) if items and bytes(items[0])[:1] in {b'"', b"["} else 1
