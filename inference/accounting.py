"""What a request leaves in the register: an intent before the client's first byte, an outcome before its last.

The intent is queued before the engine is asked and becomes durable while the engine prefills. A register that cannot
take it ends the exchange, so that nothing is served which is not recorded.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from inference.auth import Principal
from inference.contract.events import Event, pack_row
from inference.contract.ids import uuid7
from inference.endpoints.call import Call
from inference.errors import GatewayError
from inference.register import HOST, Register, Row
from inference.request import Request
from inference.routing import Choice
from inference.sse import Usage

LARGEST_COUNT = 2**31 - 1
"""what the register's integer columns hold"""


class Record:
    """The register's two rows of one request."""

    __slots__ = (
        "_common",
        "_intent",
        "_limits",
        "_number",
        "_register",
        "_request",
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
        self._common: dict[str, Any] = {
            "operation": operation,
            "project": principal.project,
            "request_id": request.id,
            "writer": register.writer,
            "actor_type": "api_key",
            "actor_id": principal.key_id,
            "actor_name": principal.name,
            "auth_method": request.auth_method,
            "target_type": "route",
            "target_id": call.model,
            "target_name": call.model,
            "started_at": request.started_at,
            "source_ip": request.source_ip,
            "host": HOST,
            "source": "gateway",
            "client": request.client,
            "route": call.model,
            "input_digest": hashlib.sha256(body).digest(),
        }
        self._number = register.next_number()
        intent = Event(
            id=self.id,
            kind="intent",
            writer_seq=self._number,
            at=datetime.now(UTC),
            detail={"stream": call.stream},
            status="accepted",
            **self._common,
        )
        self._intent = register.append(pack_row(intent), request.exchange.abort)

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
        ended = datetime.now(UTC)
        # An answer that is there before its intent was on its way needs no row that says it was asked for.
        alone = not self._intent.flying and not self._intent.settled
        choice, usage = self.choice, self.usage
        outcome = Event(
            id=self.id if alone else uuid7(),
            kind="outcome",
            parent_id=None if alone else self.id,
            writer_seq=self._number if alone else self._register.next_number(),
            at=ended,
            ended_at=ended,
            replica=choice.replica.name if choice else "",
            model_version=choice.target.version if choice else "",
            detail=self._detail(),
            output_digest=self.output.digest() if self._request.bytes_out or status == "ok" else None,
            prompt_tokens=min(usage.prompt_tokens, LARGEST_COUNT) if usage else None,
            completion_tokens=min(usage.completion_tokens, LARGEST_COUNT) if usage else None,
            status=status,
            status_code=status_code,
            **self._common,
        )
        if alone:
            self._intent.packed = pack_row(outcome)
            return self._intent
        return self._register.append(pack_row(outcome))

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
