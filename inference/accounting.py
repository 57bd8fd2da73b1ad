"""What a request leaves in the register: an intent before the client's first byte, an outcome before its last.

The intent is queued before the engine is asked and becomes durable while the engine prefills. A register that cannot
take it ends the exchange, so that nothing is served which is not recorded.
"""

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from inference.auth import Principal
from inference.contract.events import Event, RowTemplate, pack_row
from inference.contract.ids import uuid7
from inference.endpoints.call import Call
from inference.errors import GatewayError
from inference.register import HOST, Register, Row
from inference.request import Request
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


@lru_cache(maxsize=4096)
def _template(caller: Caller) -> RowTemplate:
    return RowTemplate(
        {
            "operation": caller.operation, "project": caller.project, "writer": caller.writer,
            "actor_type": "api_key", "actor_id": caller.key_id, "actor_name": caller.key_name,
            "auth_method": caller.auth_method, "target_type": "route", "target_id": caller.model,
            "target_name": caller.model, "route": caller.model, "changes": None, "source_ip": caller.source_ip,
            "host": HOST, "reason": "", "source": "gateway", "client": caller.client,
        }
    )  # fmt: skip


class Record:
    """The register's two rows of one request."""

    __slots__ = (
        "_began",
        "_input",
        "_intent",
        "_limits",
        "_number",
        "_register",
        "_request",
        "_streams",
        "_template",
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
    ) -> None:
        """Queue the intent. Raises `AuditUnavailable` when the register is down."""
        register.require()
        self._register = register
        self._request = request
        self.id: UUID = uuid7()
        self.output = hashlib.sha256()
        self.usage: Usage | None = None
        self.choice: Choice | None = None
        self.attempts = 0
        self.events = 0
        """of a stream that went to the client: about as many tokens, when the engine tells no usage"""
        self._limits = limits
        self.closed = False
        self._input = hashlib.sha256(body).digest()
        self._began = datetime.now(UTC)
        self._streams = call.stream
        self._number = register.next_number()
        self._template = _template(
            Caller(
                register.writer, operation, principal.project, principal.key_id, principal.name,
                request.auth_method, call.model, request.source_ip, request.client,
            )
        )  # fmt: skip
        self._intent = register.append(self._pack_intent, request.exchange.abort)

    def _pack_intent(self) -> bytes:
        request = self._request
        return self._template.pack(
            self.id, "intent", request.id, None, self._number, self._began, request.started_at, None, "", "",
            {"stream": self._streams}, self._input, None, None, None, "accepted", None,
        )  # fmt: skip

    async def durable(self) -> None:
        """Return once the intent is durable. Raises `AuditUnavailable`."""
        await self._intent

    async def close(self, status: str, status_code: int) -> None:
        """Write the outcome and return once it is durable, the intent with it. Raises `AuditUnavailable`."""
        await self._append_outcome(status, status_code)

    def close_failed(self, error: GatewayError) -> Row:
        """Queue the outcome of a request that failed."""
        return self._append_outcome(error.code, error.status)

    def _append_outcome(self, status: str, status_code: int) -> Row:
        self.closed = True
        # An answer that is there before its intent was on its way needs no row that says it was asked for.
        alone = not self._intent.flying and not self._intent.settled
        number = self._number if alone else self._register.next_number()
        packed = self._pack_outcome(number, status, status_code, alone=alone)
        if alone:
            self._intent.pack = lambda: packed
            return self._intent
        return self._register.append(lambda: packed)

    def _pack_outcome(self, number: int, status: str, status_code: int, *, alone: bool) -> bytes:
        request, choice, usage, ended = self._request, self.choice, self.usage, datetime.now(UTC)
        return self._template.pack(
            self.id if alone else uuid7(),
            "outcome",
            request.id,
            None if alone else self.id,
            number,
            ended,
            request.started_at,
            ended,
            choice.replica.name if choice else "",
            choice.target.version if choice else "",
            self._detail(),
            self._input,
            self.output.digest() if request.bytes_out or status == "ok" else None,
            min(usage.prompt_tokens, LARGEST_COUNT) if usage else None,
            min(usage.completion_tokens, LARGEST_COUNT) if usage else None,
            status,
            status_code,
        )

    def _detail(self) -> dict[str, Any]:
        detail: dict[str, Any] = {"attempts": self.attempts}
        if self._limits is not None:
            detail["limits"] = self._limits
        if self.choice is not None:
            detail["deployment"] = self.choice.target.deployment
            detail["routing"] = self.choice.reason.value
        return detail


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
        writer_seq=register.next_number(),
        actor_type="api_key" if principal else "anonymous",
        actor_id=principal.key_id if principal else "",
        actor_name=principal.name if principal else "",
        auth_method=request.auth_method,
        at=datetime.now(UTC),
        source_ip=request.source_ip,
        host=HOST,
        source="gateway",
        client=request.client,
        status=error.code,
        status_code=error.status,
        **more,
    )
    register.note(pack_row(event))
