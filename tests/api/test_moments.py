"""A time that could not be kept, or not be read again, is refused: one such row would end every list that holds it."""

from datetime import datetime

import pytest

from audit.exporting import Format
from audit.finding import Selection
from controlplane.actions.request_export import request_export
from controlplane.actors import SYSTEM
from controlplane.errors import Invalid
from controlplane.models import ApiKey, Export
from controlplane.moments import is_within_years
from tests.api.conftest import Client
from tests.factories import ProjectFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("end", [
    "2031-01-31T08:00:00+23:00", "2031-01-31T08:00:00-14:01", "9999-12-31T23:59:59-10:00", "9999-12-31T23:59:59Z",
])  # fmt: skip
def test_expiry_that_cannot_be_kept_is_refused(alice_api: Client, end: str) -> None:
    ProjectFactory(name="p")
    answer = alice_api.post("/api-keys", {"project": "p", "name": "k", "expires_at": end})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "expires_at")
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("end", ["2031-01-31T08:00:00+14:00", "9999-12-30T23:59:59-09:00"])
def test_expiry_that_can_is_shown_again(alice_api: Client, end: str) -> None:
    ProjectFactory(name="p")
    made = alice_api.post("/api-keys", {"project": "p", "name": "k", "expires_at": end}).json()
    assert datetime.fromisoformat(made["expires_at"]) == datetime.fromisoformat(end)
    assert alice_api.get("/api-keys").status_code == 200


@pytest.mark.parametrize(("moment", "kept"), [
    ("0001-01-01T00:00:00+00:00", False), ("0001-01-01T10:00:00+10:00", False), ("0001-01-02T00:00:00+00:00", True),
    ("9999-12-31T09:59:59+00:00", True), ("9999-12-31T10:00:00+00:00", False),
])  # fmt: skip
def test_ends_of_all_years(moment: str, kept: bool) -> None:
    assert is_within_years(datetime.fromisoformat(moment)) is kept


@pytest.mark.parametrize("end", ["since", "until"])
def test_export_of_such_an_offset_is_not_ordered(end: str) -> None:
    """However it is asked for: a worker could never write it, and would try again before all later ones."""
    selection = Selection(**{end: datetime.fromisoformat("2020-01-01T00:00:00+23:00")})
    with pytest.raises(Invalid) as refused:
        request_export(form=Format.JSONL, selection=selection, actor=SYSTEM)
    assert (refused.value.field, Export.objects.exists()) == (end, False)
