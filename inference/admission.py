"""Limits around a request: what it may cost is reserved before the engine is asked, what it did cost is settled after.

**The reservation** has to hold what the request can use at most, or a limit of tokens would be overrun by requests that
run at the same time. A prompt is estimated at four bytes a token. What may be generated stands in the body; where it
does not, the engine takes what is left of its context, so that is reserved, unless the limit is smaller than that: then
the whole limit is, because a request that says nothing must not be refused for ever. Clients that set ``max_tokens``
are let in earlier.

**The settlement** is the engine's own count. Without one: nothing, when the client got nothing because the engine
failed or refused; the whole reservation, when a plain answer was lost on its way; for a stream the prompt and the
events that were passed on.
"""

from typing import Any, Self

import msgspec

from inference import metrics
from inference.accounting import Record, note_refusal
from inference.auth import Principal
from inference.contract.limits import LimitEntry
from inference.endpoints.call import Call
from inference.errors import ClientClosed, GatewayError, LimitsUnknown, RateLimited
from inference.limits import Dimension, Lease, Limiter, LimitError, LimitExceeded
from inference.register import Register
from inference.request import Request
from inference.snapshot import Route
from inference.tables import Tables

BYTES_A_TOKEN = 4
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
RETRY_AFTER = b"retry-after"
"""`Request.fail` writes it"""

_decode_count = msgspec.json.Decoder(int).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Admitted:
    """A request that may begin. Leaving the context gives its slots back and says what it has used, however it ended.

    This one is without limits, and all such requests share it.
    """

    detail: dict[str, Any] | None = None
    """for the register"""

    def watch(self, record: Record) -> None:
        """Until then nothing has been used."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        pass


UNLIMITED = Admitted()


class Reserved(Admitted):
    """A request that its limits let through."""

    def __init__(self, lease: Lease, prompt: int, request: Request, call: Call, detail: dict[str, Any]) -> None:
        self._lease, self._prompt, self._request, self._streams = lease, prompt, request, call.stream
        self._record: Record | None = None
        self.detail = detail

    def watch(self, record: Record) -> None:
        self._record = record

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        record = self._record
        self._lease.settle(
            0 if record is None else used(self._request, record, self._prompt, error, streams=self._streams)
        )


class Admission:
    """Finds the limits of a request and asks the limiter."""

    def __init__(self, tables: Tables, limiter: Limiter, register: Register) -> None:
        self._tables, self._limiter, self._register = tables, limiter, register

    async def admit(self, request: Request, principal: Principal, route: Route, operation: str, call: Call) -> Admitted:
        """Reserve, or raise `RateLimited` or `LimitsUnknown`; either way the answer gets its headers.

        A refusal stands in the register as an outcome without an intent: nothing was begun.
        """
        limits = self._tables.snapshot.limits.applying(
            principal.project, route.name, owner=route.project, key_limits=principal.limits
        )
        if not limits:
            return UNLIMITED
        try:
            return await self._reserve(limits, request, route, operation, call)
        except (RateLimited, LimitsUnknown) as refusal:
            note_refusal(
                self._register, request, operation, refusal, principal, kind="outcome", route=route.name,
                target_type="route", target_id=route.name, target_name=route.name,
                detail={"limits": {"applied": described(limits)}},
            )  # fmt: skip
            raise

    async def _reserve(
        self, limits: tuple[LimitEntry, ...], request: Request, route: Route, operation: str, call: Call
    ) -> Reserved:
        prompt = tokens = 0
        rates = [entry.tokens_per_minute for entry in limits if entry.tokens_per_minute is not None]
        if rates:
            prompt, tokens = reservation(call, operation, route.max_model_len, min(rates))
        try:
            lease = await self._limiter.admit(limits, tokens)
        except LimitError as refusal:
            request.extra_headers += (header for header in refusal.headers if header[0] != RETRY_AFTER)
            raise _translated(refusal, request) from None
        request.extra_headers += lease.headers
        return Reserved(lease, prompt, request, call, {"applied": described(limits), "reserved_tokens": tokens})


def _translated(refusal: LimitError, request: Request) -> GatewayError:
    error: GatewayError = LimitsUnknown(str(refusal))
    if isinstance(refusal, LimitExceeded):
        metrics.LIMITED.labels(refusal.dimension.value).inc()
        error = RateLimited(str(refusal))
        if refusal.impossible:  # the official clients ask this before they wait and try again
            request.extra_headers.append((b"x-should-retry", b"false"))
    error.retry_after = refusal.retry_after
    return error


def described(limits: tuple[LimitEntry, ...]) -> dict[str, Any]:
    """Limits as the register keeps them: subject -> what holds there."""
    return {
        entry.name: {name: limit for name in Dimension if (limit := getattr(entry, name)) is not None}
        for entry in limits
    }


def reservation(call: Call, operation: str, context: int | None, least: int) -> tuple[int, int]:
    """The prompt's estimate, and all that the request can use. `least` is the smallest limit of tokens on it."""
    context = context or UNKNOWN_CONTEXT
    prompts = _prompts(call)
    size = sum(map(len, map(bytes, call.fields.values())))
    prompt = min(size // BYTES_A_TOKEN + 1, context * prompts)
    if operation in _SILENT:
        return prompt, prompt
    answers = prompts * max(1, min(_count(call, "n") or 1, MOST_ANSWERS))
    asked = next((count for name in _COMPLETION_FIELDS if (count := _count(call, name)) is not None), None)
    if asked is not None:
        return prompt, prompt + answers * min(max(asked, 0), context)
    if operation == "inference.completion":
        return prompt, prompt + answers * min(UNASKED_COMPLETION, context)
    whole = prompt + answers * max(0, context - prompt)
    return prompt, max(prompt + 1, min(whole, least))


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


def used(request: Request, record: Record, prompt: int, error: BaseException | None, *, streams: bool) -> int | None:
    """The tokens that an ended request has used; None when all that was reserved has to be taken for used."""
    if record.usage is not None:
        return record.usage.prompt_tokens + record.usage.completion_tokens
    if record.events:
        return prompt + record.events
    if error is None:
        return None if request.status < 400 else 0
    if not request.asked_at:
        return 0
    if request.status or isinstance(error, ClientClosed):
        return prompt if streams else None
    return 0
