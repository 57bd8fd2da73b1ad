"""Commands that change something say why in the register, when they were told."""

import pytest

from audit.models import Event
from controlplane.models import ApiKey
from tests.commands.run import run
from tests.factories import ProjectFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def default_project() -> None:
    ProjectFactory(name="default")


def test_reason_goes_into_the_register() -> None:
    run("create_key", "--rpm", "60", "--reason", "nightly batch")
    told = Event.objects.order_by("writer_seq")
    assert [(it.operation, it.reason, it.source) for it in told] == [
        ("api_key.created", "nightly batch", "cli"), ("limit.changed", "nightly batch", "cli"),
    ]  # fmt: skip


@pytest.mark.parametrize("reason", ["a\nb", "pay\u202eexe", "x" * 501])
def test_reason_that_hides_something_is_refused(reason: str) -> None:
    ran = run("create_key", "--reason", reason)
    assert ran.status != 0
    assert not ApiKey.objects.exists()
