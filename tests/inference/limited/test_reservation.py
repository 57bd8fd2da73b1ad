"""What is reserved holds what a request can use, and never more than lets it in one day."""

import json

import pytest

from inference.contract.budgets import COST, MICROS, TOKENS, Price
from inference.endpoints.call import read_call
from inference.limits import Spend
from inference.reservation import Reservation, reservation

CONTEXT, PLENTY = 1000, 10**9


def reserved(
    operation: str = "inference.chat", least: int = PLENTY, context: int | None = CONTEXT, **body: object
) -> int:
    """What is reserved beside the prompt."""
    ask = asked(operation, context, **body)
    return ask.tokens(least) - ask.prompt


def asked(operation: str = "inference.chat", context: int | None = CONTEXT, **body: object) -> Reservation:
    return reservation(read_call(json.dumps({"model": "m", **body}).encode()), operation, context)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_what_is_asked_for(field: str) -> None:
    assert reserved(**{field: 50}) == 50


def test_newer_name_comes_first() -> None:
    assert reserved(max_tokens=10, max_completion_tokens=50) == 50


def test_never_more_than_the_context() -> None:
    assert reserved(max_tokens=10**6) == CONTEXT


def test_each_answer_counts() -> None:
    assert reserved(max_tokens=50, n=3) == 150


@pytest.mark.parametrize(("prompt", "count"), [("a", 1), (["a", "b"], 2), ([[1, 2], [3]], 2), ([1, 2, 3], 1), ([], 1)])
def test_each_prompt_counts(prompt: object, count: int) -> None:
    assert reserved("inference.completion", max_tokens=50, prompt=prompt) == 50 * count


def test_chat_that_says_nothing_may_fill_its_context() -> None:
    assert reserved(context=CONTEXT) == CONTEXT - len(b'"m"') // 4 - 1


def test_it_is_let_in_by_a_limit_below_the_context() -> None:
    assert reserved(least=100) < 100


def test_completion_that_says_nothing_is_short() -> None:
    assert reserved("inference.completion", prompt="a") == 16


def test_embedding_generates_nothing() -> None:
    assert reserved("inference.embedding", input="a" * 400) == 0


def test_unknown_context_has_a_bound() -> None:
    assert 0 < reserved(context=None) < 10_000


def test_prompt_is_estimated_by_its_bytes() -> None:
    assert 100 <= asked("inference.embedding", input="a" * 400).prompt <= 105


DEAR, CHEAP = Price(3 * MICROS, 5 * MICROS), Price(MICROS, MICROS)
"""3 and 5 micro-units a token"""


def test_cost_is_that_of_the_dearest_version() -> None:
    ask = asked(max_tokens=50)
    assert ask.spend([CHEAP, DEAR]) == Spend(ask.prompt + 50, 3 * ask.prompt + 5 * 50)


def test_what_has_no_price_costs_nothing() -> None:
    assert asked(max_tokens=50).spend([]).cost == 0


def test_part_of_a_micro_unit_counts_whole() -> None:
    assert Price(1, 1).of(1, 0) == 1


def test_answer_that_says_nothing_fits_what_is_left() -> None:
    ask = asked(n=3)
    shorter = ask.within(ask.prompt + 100, TOKENS, [])
    assert shorter
    assert (shorter.completion, shorter.field, shorter.lowered) == (99, "max_tokens", True)


def test_it_fits_what_is_left_of_a_cost() -> None:
    ask = asked()
    left = 3 * ask.prompt + 5 * 40 + 4
    shorter = ask.within(left, COST, [CHEAP, DEAR])
    assert shorter
    assert shorter.completion == 40
    assert shorter.spend([CHEAP, DEAR]).cost <= left


@pytest.mark.parametrize("body", [{"max_tokens": 50}, {"max_completion_tokens": 50}])
def test_answer_that_says_how_long_is_not_shortened(body: dict[str, int]) -> None:
    assert asked(**body).within(40, TOKENS, []) is None


def test_no_answer_fits_beside_its_prompt() -> None:
    ask = asked()
    assert ask.within(ask.prompt, TOKENS, []) is None
