"""The register says which engine options there are and that they changed; it keeps no value that may be a secret."""

from collections.abc import Callable

import pytest

from audit.models import Event
from audit.record import Actor
from controlplane.actions.change_deployment import change_deployment
from controlplane.actions.create_deployment import create_deployment
from controlplane.actions.masking import HIDDEN, OTHER, masked_args, masked_changes
from tests import factories

SECRET, OTHER_SECRET = "hf_planted_secret_1", "hf_planted_secret_2"


@pytest.mark.django_db
def test_secrets_of_engines_are_not_in_the_register(alice: Actor, events: Callable[[], list[Event]]) -> None:
    made = create_deployment(
        name="d", version=factories.VersionFactory(), engine_env={"HF_TOKEN": SECRET}, actor=alice,
    )  # fmt: skip
    change_deployment(made, engine_env={"HF_TOKEN": OTHER_SECRET, "LOG": "x"}, engine_args={"seed": 1}, actor=alice)
    created, changed = events()
    assert created.detail["engine_env"] == {"HF_TOKEN": HIDDEN}
    assert changed.changes == {
        "engine_env": [{"HF_TOKEN": HIDDEN}, {"HF_TOKEN": OTHER, "LOG": HIDDEN}],
        "engine_args": [{}, {"seed": 1}],
    }
    told = str([event.__dict__ for event in events()])
    assert SECRET not in told
    assert OTHER_SECRET not in told


def test_flags_of_old_deployments_are_hidden_too() -> None:
    """Today they are refused: a process's arguments are there for everybody to read."""
    changes = masked_changes({"engine_args": [{"hf-token": SECRET}, {"seed": 1}]})
    assert changes == {"engine_args": [{"hf-token": HIDDEN}, {"seed": 1}]}


def test_flags_that_only_sound_alike_are_told() -> None:
    args = {"max-num-batched-tokens": 4096, "tokenizer": "t", "skip-tokenizer-init": True, "hf-token": "x"}
    assert masked_args(args) == args | {"hf-token": HIDDEN}
