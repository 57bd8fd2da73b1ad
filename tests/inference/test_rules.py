"""The first rule that a request fits counts."""

import pytest

from inference.contract.tables import RuleEntry
from inference.endpoints.call import read_call
from inference.routing import Asked, lane, read_asked
from tests.inference.routes import make_route

HEADERS = [(b"host", b"x"), (b"x-tier", b"gold"), (b"x-tier", b"eu")]


def asked(*rules: RuleEntry, endpoint: str = "chat", tokens: int = 10) -> int:
    """The number of the rule that such a request falls under."""
    route = make_route((1, 1), (1, 1), rules=rules)
    found = read_asked(route, endpoint=endpoint, prompt_tokens=lambda: tokens, headers=HEADERS)
    return found.rule if found else 0


def rule(**conditions: object) -> RuleEntry:
    return RuleEntry(("d1",), **conditions)  # type: ignore[arg-type]


def test_first_fitting_rule_counts() -> None:
    assert asked(rule(endpoints=("embedding",)), rule(header="x-tier"), rule()) == 2


def test_rule_without_conditions_takes_everything() -> None:
    assert asked(rule()) == 1


def test_none_may_fit() -> None:
    assert asked(rule(endpoints=("embedding",))) == 0


@pytest.mark.parametrize(
    ("tokens", "fits"), [(99, 0), (100, 1), (199, 1), (200, 0)]
)  # fmt: skip
def test_prompt_length_is_a_half_open_range(tokens: int, fits: int) -> None:
    assert asked(rule(prompt_tokens_from=100, prompt_tokens_to=200), tokens=tokens) == fits


@pytest.mark.parametrize(("values", "fits"), [((), 1), (("gold",), 1), (("eu", "us"), 1), (("Gold",), 0), (("",), 0)])
def test_header_must_have_one_of_the_values(values: tuple[str, ...], fits: int) -> None:
    assert asked(rule(header="X-Tier", header_values=values)) == fits


def test_absent_header_fits_no_rule_that_asks_for_it() -> None:
    assert asked(rule(header="x-other")) == 0


def test_all_conditions_must_hold() -> None:
    both = rule(endpoints=("chat",), header="x-tier", prompt_tokens_from=100)
    assert (asked(both, tokens=99), asked(both, tokens=100)) == (0, 1)


def test_prompt_is_measured_only_when_a_rule_asks() -> None:
    def never() -> int:
        raise AssertionError

    route = make_route((1, 1), rules=[RuleEntry(("d0",), endpoints=("chat",))])
    assert read_asked(route, endpoint="chat", prompt_tokens=never, headers=()) == Asked(1)


def test_route_without_rules_and_affinity_is_asked_nothing() -> None:
    assert read_asked(make_route((1, 1)), endpoint="chat", prompt_tokens=lambda: 1, headers=HEADERS) is None


@pytest.mark.parametrize("headers", [[], [(b"x-session", b"")], [(b"x-sessions", b"1")]])
def test_without_a_value_there_is_no_session(headers: list[tuple[bytes, bytes]]) -> None:
    route = make_route((1, 1), affinity_header="x-session")
    assert read_asked(route, endpoint="chat", prompt_tokens=lambda: 1, headers=headers) is None


def test_sessions_take_no_turns_of_others() -> None:
    route = make_route((1, 1), rules=[rule()])
    lanes = [None, Asked(1), Asked(0, b"session"), Asked(1, b"session")]
    assert len({lane(route, each) for each in lanes}) == 4


def test_prompt_is_estimated_at_four_bytes_a_token() -> None:
    call = read_call(b'{"model": "m", "messages": "%b"}' % (b"a" * 395))
    assert call.estimated_tokens() == (395 + 2 + 3) // 4 + 1
