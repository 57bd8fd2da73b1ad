"""Replacing the master key: both open meanwhile, broken off it goes on, afterwards the old one is needed no more."""

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from audit.models import Event
from audit.record import Actor
from controlplane.actions import rotate_master_key as rotation
from controlplane.actions.create_deployment import create_deployment
from controlplane.doctor.secrets import sealed
from controlplane.models import Deployment
from controlplane.sealing import key_id, reveal
from tests import factories

from .run import run

pytestmark = pytest.mark.django_db
OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)


@pytest.fixture
def deployments(alice: Actor, settings: Any) -> list[Deployment]:
    """Five, sealed under the old key; then a new one is set."""
    settings.MASTER_KEY, settings.MASTER_KEY_PREVIOUS = OLD, None
    made = [
        create_deployment(name=f"d{n}", version=factories.VersionFactory(), engine_env={"A_TOKEN": str(n)}, actor=alice)
        for n in range(5)
    ]
    settings.MASTER_KEY, settings.MASTER_KEY_PREVIOUS = NEW, OLD
    return made


def values() -> list[str]:
    return sorted(deployment.engine_env["A_TOKEN"] for deployment in Deployment.objects.all())


def test_everything_is_wrapped_anew(
    deployments: list[Deployment], settings: Any, events: Callable[[], list[Event]]
) -> None:
    assert values() == list("01234"), "both keys open"
    assert run("rotate_master_key").out.startswith("5 secrets were wrapped")
    settings.MASTER_KEY_PREVIOUS = None
    assert values() == list("01234")
    event = events()[-1]
    assert (event.operation, event.kind, event.detail) == (
        "master_key.rotated", "security", {"rewrapped": 5, "lost": 0},
    )  # fmt: skip
    assert event.target_id == key_id(NEW)


def test_second_run_finds_nothing_to_do(deployments: list[Deployment], events: Callable[[], list[Event]]) -> None:
    run("rotate_master_key")
    count = len(events())
    assert json.loads(run("rotate_master_key", "--json").out) == {"rewrapped": 0, "lost": []}
    assert len(events()) == count


def test_broken_off_it_goes_on(deployments: list[Deployment], monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """It dies in its third batch; the first two are done, and the next run does the rest."""
    monkeypatch.setattr(rotation, "BATCH", 1)
    rewrap, calls = rotation._rewrap, []

    def dies(row: Any, name: str) -> bool:
        calls.append(row)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rewrap(row, name)

    monkeypatch.setattr(rotation, "_rewrap", dies)
    with pytest.raises(KeyboardInterrupt):
        run("rotate_master_key")
    assert values() == list("01234")
    monkeypatch.setattr(rotation, "_rewrap", rewrap)
    assert json.loads(run("rotate_master_key", "--json").out)["rewrapped"] == 3
    settings.MASTER_KEY_PREVIOUS = None
    assert values() == list("01234")


def test_times_of_the_rows_stay(deployments: list[Deployment]) -> None:
    before = list(Deployment.objects.order_by("pk").values_list("updated_at"))
    run("rotate_master_key")
    assert list(Deployment.objects.order_by("pk").values_list("updated_at")) == before


def test_what_no_key_opens_is_named_and_left(deployments: list[Deployment], settings: Any) -> None:
    settings.MASTER_KEY_PREVIOUS = None
    done = run("rotate_master_key")
    assert done.status == 1
    assert "5 cannot be opened" in done.out
    settings.MASTER_KEY_PREVIOUS = OLD
    assert reveal(Deployment.objects.get(name="d0"), "sealed_env") == '{"A_TOKEN": "0"}'


def test_doctor_tells_what_is_left_to_do(deployments: list[Deployment], settings: Any) -> None:
    finding = sealed()
    assert (finding.level, finding.todo) == ("warn", "run manage.py rotate_master_key")
    settings.MASTER_KEY_PREVIOUS = None
    finding = sealed()
    assert finding.level == "fail"
    assert "controlplane_deployment.sealed_env" in finding.what
    settings.MASTER_KEY = OLD
    assert sealed().level == "ok"


def test_all_sealed_columns_are_known() -> None:
    columns = {str(column) for column in rotation.sealed_columns()}
    assert {"controlplane_deployment.external_key", "controlplane_deployment.sealed_env"} <= columns
