"""A client that types one model name must not reach another: names that look the same do not stand side by side."""

import pytest

from audit.record import Actor
from controlplane.actions.set_route import create_route
from controlplane.errors import Conflict, Invalid
from controlplane.models import Route

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Qwen3", "qwen3"), ("MINI", "mini"), ("gpt-4o", "gpt-40"), ("gpt-4o", "GPT-4O"), ("llama-1", "llama-l"),
        ("llama-1", "llama-I"), ("l0l", "IOI"),
    ],
)  # fmt: skip
def test_look_alike_is_refused(alice: Actor, first: str, second: str) -> None:
    create_route(name=first, targets={}, actor=alice)
    with pytest.raises(Conflict) as refused:
        create_route(name=second, targets={}, actor=alice)
    assert refused.value.code == "look_alike"
    assert Route.objects.count() == 1


def test_same_name_is_told_as_what_it_is(alice: Actor) -> None:
    create_route(name="chat", targets={}, actor=alice)
    with pytest.raises(Conflict) as refused:
        create_route(name="chat", targets={}, actor=alice)
    assert refused.value.code == "already_exists"


@pytest.mark.parametrize(
    ("first", "second"), [("qwen2-5", "qwen2-S"), ("mini", "minl"), ("phi-3", "phi-4"), ("a.b", "a-b"), ("rn", "m")]
)
def test_what_differs_to_the_eye_may_stand_beside(alice: Actor, first: str, second: str) -> None:
    for name in (first, second):
        create_route(name=name, targets={}, actor=alice)
    assert Route.objects.count() == 2


@pytest.mark.parametrize("name", ["gpt-4\u043e", "\u0440hi", "qwen\u200b", "ｑwen", "qwen\u0301", "\u202eqwen", "ǃa"])
def test_letters_of_other_scripts_are_refused(alice: Actor, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        create_route(name=name, targets={}, actor=alice)
    assert refused.value.field == "name"
