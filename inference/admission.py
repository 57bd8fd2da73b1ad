"""Limits around a request: what it may cost is reserved before the engine is asked, what it did cost is settled after.

**The reservation** has to hold what the request can use at most, or a limit of tokens would be overrun by requests that
run at the same time. A request that does not say how much it wants would fill the rest of its context: of a limit a
minute it reserves that, but at most the whole limit, because it must not be refused for ever. Clients that set
``max_tokens`` are let in earlier. Of a budget it reserves the rest of the context, or what the budget has left; in that
case the engine is told not to generate more than that, so that no answer takes more than is there.

**The settlement** is the engine's own count. Without one: nothing, when the client got nothing because the engine
failed or refused; the whole reservation, when a plain answer was lost on its way; for a stream the prompt and the
events that were passed on. What it costs says the price of the version that answered.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import msgspec

from inference import metrics
from inference.accounting import Record, note_refusal
from inference.auth import Principal
from inference.contract.budgets import FREE, Price
from inference.contract.limits import LimitEntry
from inference.endpoints.call import Call
from inference.errors import ClientClosed, GatewayError, LimitsUnknown, QuotaExceeded, RateLimited
from inference.limits import (
    BudgetExhausted,
    Dimension,
    Lease,
    LimitBook,
    Limiter,
    LimitError,
    LimitExceeded,
    Plan,
)
from inference.register import Register
from inference.request import Request
from inference.reservation import Reservation, reservation
from inference.snapshot import Route
from inference.tables import Tables

Prices = Mapping[str, Price]
NO_PRICES: Prices = {}
_NOT_METERED = Reservation(0)
TERMS_KEPT = 20_000
RETRY_AFTER = b"retry-after"
"""`Request.fail` writes it"""


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

    def __init__(
        self, lease: Lease, prompt: int, request: Request, call: Call, *, prices: Prices, detail: dict[str, Any]
    ) -> None:
        self._lease, self._prompt, self._request, self._streams = lease, prompt, request, call.stream
        self._prices = prices
        self._record: Record | None = None
        self.detail = detail

    def watch(self, record: Record) -> None:
        self._record = record

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        record = self._record
        if record is None:
            self._lease.refund()
            return
        usage = used(self._request, record, self._prompt, error, streams=self._streams)
        if usage is None:
            self._lease.settle()
        else:
            self._lease.settle(usage.prompt + usage.completion, self._cost(record, usage))

    def _cost(self, record: Record, usage: "Used") -> int:
        if not self._prices or record.choice is None:
            return 0
        return self._prices.get(record.choice.target.version, FREE).of(usage.prompt, usage.completion)


class Terms(NamedTuple):
    """All limits of one key on one route."""

    plan: Plan
    described: dict[str, Any]
    least: int | None
    """the smallest limit of tokens a minute"""
    budgeted: bool

    @classmethod
    def of(cls, limits: tuple[LimitEntry, ...], limiter: Limiter) -> "Terms":
        rates = [entry.tokens_per_minute for entry in limits if entry.tokens_per_minute is not None]
        budgeted = any(entry.budgets for entry in limits)
        return cls(limiter.plan(limits), described(limits), min(rates, default=None), budgeted)


class Admission:
    """Finds the limits of a request and asks the limiter."""

    def __init__(self, tables: Tables, limiter: Limiter, register: Register) -> None:
        self._tables, self._limiter, self._register = tables, limiter, register
        self._known: dict[tuple[int, str], tuple[Principal, Route, LimitBook, Terms | None]] = {}

    async def admit(self, request: Request, principal: Principal, route: Route, operation: str, call: Call) -> Admitted:
        """Reserve, or raise `RateLimited` or `LimitsUnknown`; either way the answer gets its headers.

        A refusal stands in the register as an outcome without an intent: nothing was begun.
        """
        terms = self._terms(principal, route)
        if terms is None:
            return UNLIMITED
        try:
            return await self._reserve(terms, request, route, operation, call)
        except (RateLimited, LimitsUnknown) as refusal:
            note_refusal(
                self._register, request, operation, refusal, principal, kind="outcome", route=route.name,
                target_type="route", target_id=route.name, target_name=route.name,
                detail={"limits": {"applied": terms.described}},
            )  # fmt: skip
            raise

    def _terms(self, principal: Principal, route: Route) -> Terms | None:
        """The limits, looked up anew only when the key, the route or the limits were published anew."""
        book, place = self._tables.snapshot.limits, (id(principal), route.name)
        known = self._known.get(place)
        if known is not None and known[0] is principal and known[1] is route and known[2] is book:
            return known[3]
        limits = book.applying(principal.project, route.name, owner=route.project, key_limits=principal.limits)
        terms = Terms.of(limits, self._limiter) if limits else None
        if len(self._known) >= TERMS_KEPT:
            self._known.clear()
        self._known[place] = principal, route, book, terms
        return terms

    async def _reserve(self, terms: Terms, request: Request, route: Route, operation: str, call: Call) -> Reserved:
        ask, prices = _NOT_METERED, NO_PRICES
        if terms.least is not None or terms.budgeted:
            ask = reservation(call, operation, route.max_model_len)
        try:
            if terms.budgeted:
                prices = self._tables.snapshot.limits.prices
                ask, lease = await self._reserve_what_fits(
                    terms, ask, [prices.get(target.version, FREE) for target in route.targets]
                )
            else:
                lease = await self._limiter.admit(terms.plan, ask.tokens(terms.least))
        except LimitError as refusal:
            request.extra_headers += (header for header in refusal.headers if header[0] != RETRY_AFTER)
            raise _translated(refusal, request) from None
        request.extra_headers += lease.headers
        if ask.lowered:
            call.fields[ask.field] = msgspec.Raw(b"%d" % (ask.completion // ask.answers))
        detail = {"applied": terms.described, "reserved_tokens": lease.tokens}
        return Reserved(lease, ask.prompt, request, call, prices=prices, detail=detail)

    async def _reserve_what_fits(
        self, terms: Terms, ask: Reservation, prices: list[Price]
    ) -> tuple[Reservation, Lease]:
        """Reserve `ask`; or as much as a budget has left, if the client has not said how much it wants."""
        while True:
            try:
                lease = await self._limiter.admit(terms.plan, ask.tokens(terms.least), ask.spend(prices))
            except BudgetExhausted as refusal:
                shorter = ask.within(refusal.left, refusal.budget.unit, prices)
                if shorter is None:
                    raise
                ask = shorter
            else:
                return ask, lease


def _translated(refusal: LimitError, request: Request) -> GatewayError:
    error: GatewayError = LimitsUnknown(str(refusal))
    if isinstance(refusal, LimitExceeded):
        metrics.LIMITED.labels(refusal.dimension.value).inc()
        error = RateLimited(str(refusal))
    elif isinstance(refusal, BudgetExhausted):
        metrics.LIMITED.labels(refusal.budget.dimension).inc()
        error = QuotaExceeded(str(refusal))
    if refusal.useless_to_repeat:  # the official clients ask this before they wait and try again
        request.extra_headers.append((b"x-should-retry", b"false"))
    error.retry_after = refusal.retry_after
    return error


def described(limits: tuple[LimitEntry, ...]) -> dict[str, Any]:
    """Limits as the register keeps them: subject -> what holds there."""
    return {
        entry.name: {
            **{name: limit for name in Dimension if (limit := getattr(entry, name)) is not None},
            **{budget.dimension: budget.amount for budget in entry.budgets},
        }
        for entry in limits
    }


class Used(NamedTuple):
    """Tokens that a request has used."""

    prompt: int = 0
    completion: int = 0


def used(request: Request, record: Record, prompt: int, error: BaseException | None, *, streams: bool) -> Used | None:
    """What an ended request has used; None when all that was reserved has to be taken for used."""
    if record.usage is not None:
        return Used(record.usage.prompt_tokens, record.usage.completion_tokens)
    if record.events:
        return Used(prompt, record.events)
    if error is None:
        return None if request.status < 400 else Used()
    if not request.asked_at:
        return Used()
    if request.status or isinstance(error, ClientClosed):
        return Used(prompt) if streams else None
    return Used()
