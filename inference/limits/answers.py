"""What the limiter says when it does not admit, and what an admitted request holds."""

from types import TracebackType
from typing import Protocol, Self

from inference.contract.budgets import COST, MICROS, Budget

from . import arithmetic
from .arithmetic import Header
from .plan import Dimension, Plan, Spend
from .slices import Charge, Party


class Settler(Protocol):
    """The limiter as a lease knows it."""

    def settle(self, lease: "Lease", change: int, spent: tuple[int, ...]) -> None: ...


class LimitError(Exception):
    """A request was not admitted and took nothing. `headers` belong to the answer, ``retry-after`` among them.

    - LimitExceeded      429: a limit says no
    - BudgetExhausted    429: a budget has not enough left, and will not before its period ends
    - LimitsUnavailable  503: nobody can say at the moment
    """

    useless_to_repeat = False
    """the same request will be refused again for a long time"""

    def __init__(self, message: str, wait_ms: int, headers: list[Header]) -> None:
        super().__init__(message)
        self.retry_after = arithmetic.whole_seconds(wait_ms)
        self.headers = [*headers, (b"retry-after", b"%d" % self.retry_after)]


class LimitExceeded(LimitError):
    """A limit says no. `dimension` and `subject` bind; `impossible`: one request asks for more than all of it."""

    def __init__(
        self, dimension: Dimension, subject: str, limit: int, *, wait_ms: int, impossible: bool, headers: list[Header]
    ) -> None:
        self.dimension, self.subject, self.limit, self.useless_to_repeat = dimension, subject, limit, impossible
        words = "concurrent requests" if dimension is Dimension.CONCURRENCY else dimension.value.replace("_", " ")
        message = (
            f"The request asks for more tokens than the limit of {limit} {words} allows at all: lower max_tokens."
            if impossible
            else f"Limit of {limit} {words} reached. Please try again in {arithmetic.duration(wait_ms)}."
        )
        super().__init__(message, wait_ms, headers)


class BudgetExhausted(LimitError):
    """A budget has only `left` of the `need`."""

    useless_to_repeat = True

    def __init__(
        self, budget: Budget, whose: str, *, need: int, left: int, renews: str, wait_ms: int, headers: list[Header]
    ) -> None:
        self.budget, self.need, self.left = budget, need, max(left, 0)
        told = amount_in_words(budget.amount, budget.unit)
        what = f"budget of {told} a {budget.span} of {whose}"
        message = (
            f"This request may take up to {amount_in_words(need, budget.unit)}, and the {what} has "
            f"{amount_in_words(self.left, budget.unit)} left: lower max_tokens, or wait until it renews at {renews}."
            if self.left
            else f"The {what} is used up. It renews at {renews}."
        )
        super().__init__(message, wait_ms, headers)


def amount_in_words(amount: int, unit: str) -> str:
    """``1000 tokens``, ``2.5 units of cost``."""
    if unit != COST:
        return f"{amount} token{'s' * (amount != 1)}"
    whole, rest = divmod(amount, MICROS)
    decimals = f".{rest:06d}".rstrip("0") if rest else ""
    return f"{whole}{decimals} units of cost"


class LimitsUnavailable(LimitError):
    """Limits cannot be checked for now, and nothing is let through unchecked."""

    def __init__(self, wait_ms: int) -> None:
        super().__init__("Limits cannot be checked for the moment. Please try again shortly.", wait_ms, [])


class Lease:
    """An admitted request: its tokens are reserved and its slots are held until it is settled.

    Settle it exactly when the request ends, however it ends; a second settlement changes nothing. As a context manager
    it settles itself: refunded when an exception passes, with its full reservation otherwise.
    """

    __slots__ = (
        "_limiter", "at", "begun", "charges", "generation", "headers", "id", "party", "plan", "renewed", "settled",
        "tokens",
    )  # fmt: skip

    def __init__(self, limiter: Settler, plan: Plan, lease: str, tokens: int) -> None:
        self._limiter = limiter
        self.plan = plan
        self.id = lease
        self.tokens = tokens
        self.headers: list[Header] = []
        self.at = 0
        """when it was admitted, in ms of Redis's clock"""
        self.generation: str | None = None
        """of Redis's counters that took it; None when this process decided alone"""
        self.begun = self.renewed = 0.0
        self.party: Party | None = None
        """from whose slices it has reserved `charges`"""
        self.charges: tuple[Charge, ...] = ()
        self.settled = False

    def settle(self, tokens: int | None = None, cost: int = 0) -> None:
        """The request is over and used so many tokens, at that cost; None stands for all that was reserved.

        Never waits.
        """
        if self.settled:
            return
        self.settled = True
        if tokens is None:
            self._limiter.settle(self, 0, tuple([charge.amount for charge in self.charges]))
        else:
            used = Spend(tokens, cost)
            spent = tuple([used.of(charge.slice.allowance.budget.unit) for charge in self.charges])
            self._limiter.settle(self, tokens - self.tokens, spent)

    def refund(self) -> None:
        """The request failed and used nothing. It still counts as a request: it was let through."""
        self.settle(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.settle(None if kind is None else 0)
