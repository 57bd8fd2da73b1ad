"""What a request leaves in the register: an intent before the client's first byte, an outcome before its last.

The intent of a stream is queued before the engine is asked and becomes durable while the engine prefills. A register
that cannot take it ends the exchange, so that nothing is served which is not recorded.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any, NamedTuple

from inference.auth import Principal
from inference.bodies import Bodies, Digesting, bodies_of
from inference.contract.events import (
    NULL,
    Event,
    RowTemplate,
    pack_bytes,
    pack_id,
    pack_instants,
    pack_int4s,
    pack_int8,
    pack_json,
    pack_row,
    pack_text,
)
from inference.contract.ids import uuid7, uuid7_bytes
from inference.endpoints.call import Call
from inference.errors import AuditUnavailable, GatewayError
from inference.register import HOST, REGION, Register, Row
from inference.request import Request, unix_microseconds
from inference.routing import Choice
from inference.sse import Usage

LARGEST_COUNT = 2**31 - 1
"""what the register's integer columns hold"""


class Caller(NamedTuple):
    """What all rows of one key, from one place, about one route have in common."""

    writer: str
    operation: str
    project: str
    key_id: str
    key_name: str
    auth_method: str
    model: str
    source_ip: str | None
    client: str


class Result(NamedTuple):
    """What the outcomes of most requests of a caller have in common."""

    replica: str
    model_version: str
    status: str
    status_code: int


def _constant(caller: Caller) -> dict[str, Any]:
    return {
        "operation": caller.operation, "project": caller.project, "writer": caller.writer,
        "actor_type": "api_key", "actor_id": caller.key_id, "actor_name": caller.key_name,
        "auth_method": caller.auth_method, "target_type": "route", "target_id": caller.model,
        "target_name": caller.model, "route": caller.model, "changes": None, "source_ip": caller.source_ip,
        "host": HOST, "region": REGION, "reason": "", "ticket": "", "source": "gateway", "client": caller.client,
    }  # fmt: skip


@lru_cache(maxsize=4096)
def _intent_template(caller: Caller, streams: bool) -> RowTemplate:
    """Its runs: id; request id; number; times; input digest."""
    return RowTemplate(
        _constant(caller) | {
            "kind": "intent", "parent_id": None, "replica": "", "model_version": "", "detail": {"stream": streams},
            "output_digest": None, "prompt_tokens": None, "completion_tokens": None,
            "status": "accepted", "status_code": None,
        }
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _outcome_template(caller: Caller, result: Result) -> RowTemplate:
    """Its runs: id; request and parent id; number; times; detail, digests and tokens."""
    return RowTemplate(_constant(caller) | {"kind": "outcome"} | result._asdict())


class Record:
    """The register's two rows of one request, or the one of a request that was answered at once."""

    __slots__ = (
        "_began",
        "_bodies",
        "_caller",
        "_digests",
        "_input",
        "_intent",
        "_limits",
        "_register",
        "_request",
        "_streams",
        "attempts",
        "choice",
        "closed",
        "events",
        "id",
        "output",
        "usage",
    )

    def __init__(
        self,
        register: Register,
        request: Request,
        principal: Principal,
        *,
        operation: str,
        call: Call,
        body: bytes,
        limits: dict[str, Any] | None = None,
        most_kept: int = 0,
    ) -> None:
        """Queue the intent. Raises `AuditUnavailable` when the register is down.

        The intent of a stream leaves at once, hidden behind the engine's prefill. A whole answer that is soon there
        needs no row of its own that says it was asked for: its intent waits a little for the outcome to replace it.
        """
        register.require()
        self._register = register
        self._request = request
        self.id = uuid7_bytes()
        self._bodies: Bodies | None = bodies_of(register, principal, most_kept)
        self.output: Digesting = self._bodies.output if self._bodies else sha256()
        self.usage: Usage | None = None
        self.choice: Choice | None = None
        self.attempts = 0
        self.events = 0
        """of a stream that went to the client: about as many tokens, when the engine tells no usage"""
        self._limits = limits
        self.closed = False
        self._digests = principal.register_mode != "metadata"
        self._input = pack_bytes(sha256(body).digest()) if self._digests else NULL
        self._began = unix_microseconds()
        self._streams = call.stream
        self._caller = Caller(
            register.writer, operation, principal.project, principal.key_id, principal.name,
            request.auth_method, call.model, request.source_ip, request.client,
        )  # fmt: skip
        if self._bodies is not None:
            self._bodies.keep_input(self.id, body)
        patient = not call.stream and self._bodies is None
        self._intent = register.append(self._pack_intent, request.exchange.abort, patient=patient)

    def _pack_intent(self) -> bytes:
        request, began = self._request, self._began
        return _intent_template(self._caller, self._streams).pack(
            pack_id(self.id),
            pack_text(request.id),
            pack_int8(self._register.next_number()),
            pack_instants(began, request.started_us, None),
            self._input,
        )

    async def durable(self) -> None:
        """Return once the intent is durable. Raises `AuditUnavailable`."""
        await self._intent

    async def close(self, status: str, status_code: int) -> None:
        """Write the outcome and return once it is durable, the intent with it. Raises `AuditUnavailable`."""
        await self._append_outcome(status, status_code)

    def close_failed(self, error: GatewayError) -> None:
        """Queue the outcome of a request that failed."""
        self._append_outcome(error.code, error.status)

    async def fail(self, error: GatewayError) -> None:
        """Write the outcome of a request that failed and return once it is durable, or cannot be."""
        with suppress(AuditUnavailable):
            await self._append_outcome(error.code, error.status)

    def _append_outcome(self, status: str, status_code: int) -> Row:
        self.closed = True
        outcome = self._outcome(status, status_code)
        if self._register.replace(self._intent, partial(outcome, self.id, None)):
            self._keep_output(self.id)
            return self._intent
        event = uuid7_bytes()
        self._keep_output(event)
        return self._register.append(partial(outcome, event, self.id))

    def _keep_output(self, event: bytes) -> None:
        if self._bodies is not None:
            self._bodies.keep_output(event)

    def _outcome(self, status: str, status_code: int) -> Callable[[bytes, bytes | None], bytes]:
        """All that is known now; what packs it is called with the row's id and that of its intent."""
        request, choice, usage, ended = self._request, self.choice, self.usage, unix_microseconds()
        register, output = self._register, NULL
        if self._digests and (request.bytes_out or status == "ok"):
            output = pack_bytes(self.output.digest())
        result = Result(
            choice.replica.name if choice else "", choice.target.version if choice else "", status, status_code
        )
        template = _outcome_template(self._caller, result)
        asked = pack_text(request.id)
        times = pack_instants(ended, request.started_us, ended)
        rest = b"".join((pack_json(self._detail()), self._input, output, _tokens(usage)))

        def pack(row: bytes, parent: bytes | None) -> bytes:
            return template.pack(pack_id(row), asked + pack_id(parent), pack_int8(register.next_number()), times, rest)

        return pack

    def _detail(self) -> dict[str, Any]:
        detail: dict[str, Any] = {"attempts": self.attempts}
        if self._bodies is not None:
            detail["kept"] = self._bodies.mode
        if self._limits is not None:
            detail["limits"] = self._limits
        if self.choice is not None:
            detail["deployment"] = self.choice.target.deployment
            detail["routing"] = self.choice.reason.value
            if self.choice.rule:
                detail["rule"] = self.choice.rule
        return detail


def _tokens(usage: Usage | None) -> bytes:
    if usage is None:
        return NULL + NULL
    return pack_int4s(min(usage.prompt_tokens, LARGEST_COUNT), min(usage.completion_tokens, LARGEST_COUNT))


def note_refusal(
    register: Register,
    request: Request,
    operation: str,
    error: GatewayError,
    principal: Principal | None,
    **more: Any,
) -> None:
    """Record that somebody was turned away at the door. Best effort: it delays nobody and never fills the memory.

    `more` are further columns of the row.
    """
    event = Event(
        id=uuid7(),
        kind=more.pop("kind", "security"),
        operation=operation,
        project=principal.project if principal else "",
        request_id=request.id,
        writer=register.writer,
        actor_type="api_key" if principal else "anonymous",
        actor_id=principal.key_id if principal else "",
        actor_name=principal.name if principal else "",
        auth_method=request.auth_method,
        at=datetime.now(UTC),
        source_ip=request.source_ip,
        host=HOST,
        region=REGION,
        source="gateway",
        client=request.client,
        status=error.code,
        status_code=error.status,
        **more,
    )

    def pack() -> bytes:
        event.writer_seq = register.next_number()
        return pack_row(event)

    register.note(pack)
