"""What is reserved holds what a request can use, and never more than lets it in one day."""

import json

import pytest

from inference.admission import reservation
from inference.endpoints.call import read_call

CONTEXT, PLENTY = 1000, 10**9


def reserved(
    operation: str = "inference.chat", least: int = PLENTY, context: int | None = CONTEXT, **body: object
) -> int:
    """What is reserved beside the prompt."""
    call = read_call(json.dumps({"model": "m", **body}).encode())
    prompt, whole = reservation(call, operation, context, least)
    return whole - prompt


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
    call = read_call(json.dumps({"model": "m", "input": "a" * 400}).encode())
    assert 100 <= reservation(call, "inference.embedding", CONTEXT, PLENTY)[0] <= 105
