"""What people write is kept in one form and holds nothing that is not seen: whichever door it came in by."""

import pytest

from audit.record import Actor
from controlplane.actions.create_api_key import create_api_key
from controlplane.actions.create_deployment import create_deployment
from controlplane.actions.create_model import create_model
from controlplane.actions.create_project import create_project
from controlplane.actions.create_version import create_version
from controlplane.errors import Invalid
from tests import factories

pytestmark = pytest.mark.django_db
HIDDEN = "pay\u202eexe"

ATTEMPTS = {
    "title": lambda actor, text: create_project(name="p", title=text, actor=actor),
    "name": lambda actor, text: create_api_key(project=factories.ProjectFactory(), name=text, actor=actor),
    "description": lambda actor, text: create_model(name="m", description=text, actor=actor),
    "source": lambda actor, text: create_version(factories.ModelFactory(), name="v", source=f"hf:{text}", actor=actor),
    "served_name": lambda actor, text: create_deployment(
        name="d", version=factories.VersionFactory(), served_name=text, actor=actor
    ),
}


@pytest.mark.parametrize("field", ATTEMPTS)
@pytest.mark.parametrize("text", [HIDDEN, "a\x00b", "zero\u200bwidth"])
def test_refused_by_the_action(alice: Actor, field: str, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        ATTEMPTS[field](alice, text)
    assert refused.value.field == field
    assert "U+" in refused.value.message


def test_kept_composed(alice: Actor) -> None:
    assert create_project(name="p", title="Cafe\u0301 信号楼", actor=alice).title == "Caf\u00e9 信号楼"
    assert create_model(name="m", description="a\nb\u0301", actor=alice).description == "a\nb\u0301"


def test_too_long_is_refused_by_name(alice: Actor) -> None:
    with pytest.raises(Invalid) as refused:
        create_project(name="p", title="x" * 201, actor=alice)
    assert refused.value.field == "title"
