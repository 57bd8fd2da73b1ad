"""S2, the management API: every path and method × every credential that is not good for it: no unexpected 2xx.

The paths come from the URLconf, what each needs from its view. A new one without a declared policy fails. The rest of
the matrix, all roles of people and machines everywhere, stands in tests/proofs.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from controlplane import tokens
from controlplane.models import ServiceAccount, User
from controlplane.roles import Role
from tests.access.matrix import OPERATIONS, ask, client, leaks, standing, surprises, token_of
from tests.access.routes import API, routes
from tests.access.world import World, machine, make, person

pytestmark = pytest.mark.django_db

OPEN = {
    "openapi.json": "the description, which holds nothing that the source does not",
    "auth/token": "asks for a password",
    "auth/refresh": "asks for a refresh token",
    "auth/revoke": "asks for a token of the session that it ends",
    "auth/password": "asks for a password",
    "<path:rest>": "what is no path",
}


def test_every_path_declares_its_policy() -> None:
    known = {operation.path for operation in OPERATIONS} | OPEN.keys()
    paths = {route.path.removeprefix(API) for route in routes() if route.path.startswith(API)}
    assert sorted(paths ^ known) == []
    assert [operation for operation in OPERATIONS if operation.needed is None and not operation.own] == []


def test_matrix_is_not_empty() -> None:
    assert len(OPERATIONS) > 45
    assert {operation.method for operation in OPERATIONS} == {"get", "post", "patch", "delete"}


@pytest.fixture
def alpha() -> World:
    return make("alpha")


def of_the_disabled(alice: User) -> str:
    token = token_of(alice)
    User.objects.update(is_active=False)
    return token


def of_a_disabled_machine(_alice: User) -> str:
    token = token_of(machine("off", Role.OWNER, None))
    ServiceAccount.objects.update(is_active=False)
    return token


BAD: dict[str, Callable[[User], str]] = {
    "none": lambda _: "",
    "garbage": lambda _: "garbage",
    "a token that nobody has": lambda _: tokens.generate(tokens.MANAGEMENT).token,
    "an unsigned JWT": lambda _: "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiIxIn0.",
    "revoked": lambda alice: token_of(alice, revoked_at=timezone.now()),
    "expired": lambda alice: token_of(alice, expires_at=timezone.now() - timedelta(seconds=1)),
    "of somebody disabled": of_the_disabled,
    "of a disabled machine": of_a_disabled_machine,
}


@pytest.mark.parametrize("credential", BAD)
def test_bad_credential_opens_nothing(credential: str, alpha: World, alice_user: User) -> None:
    api = client(BAD[credential](alice_user))
    opened = {
        operation[:2]: code for operation in OPERATIONS if (code := ask(api, operation, alpha).status_code) != 401
    }
    assert opened == {}


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.VIEWER])
def test_role_on_a_project_opens_what_it_may_there_and_nothing_else(role: Role, alpha: World) -> None:
    holder = person("holder", role, alpha.project)
    assert surprises(client(token_of(holder)), standing(holder), alpha) == {}


def test_owner_of_another_project_finds_nothing(alpha: World) -> None:
    holder = person("holder", Role.OWNER, make("beta").project)
    assert leaks(client(token_of(holder)), alpha) == {}


def test_without_a_role_nothing_opens(alpha: World) -> None:
    holder = machine("holder", None, None)
    assert surprises(client(token_of(holder)), standing(holder), alpha) == {}


def test_auditor_reads_the_register_and_nothing_else(alpha: World) -> None:
    api = client(token_of(person("audrey", Role.AUDITOR, None)))
    opened = {op.path for op in OPERATIONS if not op.own and ask(api, op, alpha).status_code < 300}
    assert opened == {
        op.path
        for op in OPERATIONS
        if op.noun.startswith("audit/") and (op.method == "get" or op.path.endswith("/bodies"))
        if not op.path.endswith("/download")  # which needs a link from the export
        if op.noun not in {"audit/holds", "audit/months"}  # what stays and what goes is the owner's
    }


def test_owner_opens_everything(alpha: World) -> None:
    """So that the tests above do not pass because nothing opens to anybody."""
    api = client(token_of(person("olivia", Role.OWNER, None)))
    shut = {op[:2]: code for op in OPERATIONS if (code := ask(api, op, alpha).status_code) in {401, 403, 404}}
    assert shut == {}
