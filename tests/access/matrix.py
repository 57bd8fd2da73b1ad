"""Asking every operation of the API with one credential, and what the policies say should come of it."""

from typing import Any

from django.db import transaction

from audit.record import Actor
from controlplane import tokens
from controlplane.access.standing import standing_of
from controlplane.models import ManagementToken, Project, ServiceAccount, User
from controlplane.roles import Permission, Standing, decide, reach
from tests.access.routes import Operation, filled, operations
from tests.access.world import World
from tests.api.conftest import Client

OPERATIONS = operations()
OF_PLATFORM = {"suspensions", "users", "sessions", "roles", "nodes", "audit/holds", "audit/months"}
"""nouns that no project owns"""
OF_ALL_READERS = {"roles", "audit/seals"}
"""nouns that tell nothing of any project: whoever may read their kind anywhere reads all of them"""


def token_of(owner: User | ServiceAccount, **fields: Any) -> str:
    token = tokens.generate(tokens.MANAGEMENT)
    of = {"user": owner} if isinstance(owner, User) else {"service_account": owner}
    ManagementToken.objects.create(name="t", token_id=token.id, digest=tokens.digest(token.token), **of, **fields)
    return token.token


def client(token: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {token}"} if token else {})


def entered(operation: Operation, world: World) -> dict[str, Any]:
    """What a body needs for the question who asks to come up at all."""
    match operation.method, operation.path.partition("/")[0]:
        case "patch", "users":
            return {"active": False}
        case "patch", "versions":
            return {"state": "retired"}
        case "post", "limits":
            return {"route": world.things["routes"].name, "concurrency": 1}
    return {}


def ask(api: Client, operation: Operation, world: World) -> Any:
    """The answer; whatever it changed is undone."""
    thing = world.things[operation.noun]
    body = None if operation.method == "get" else {"reason": "because", **entered(operation, world)}
    with transaction.atomic():
        response = getattr(api, operation.method)(filled(operation.path, getattr(thing, "pk", thing)), body)
        transaction.set_rollback(True)
    return response


def standing(holder: User | ServiceAccount) -> Standing:
    kind: Any = "user" if isinstance(holder, User) else "service_account"
    return standing_of(Actor(type=kind, id=str(holder.pk), name="x", source="api"))


def permitted(holds: Standing, operation: Operation, project: Project) -> bool:
    """As the policy says, for an object of the project."""
    if operation.needed is None:
        return False
    if (operation.method, operation.path) == ("post", "audit/exports"):  # of everything: no project is named
        return decide(holds, operation.needed, None).allowed
    if not operation.detail or operation.noun in OF_ALL_READERS:
        return bool(reach(holds, operation.needed))
    reads_members = operation.noun == "users" and operation.needed == Permission.USER_READ
    of_platform = operation.noun in OF_PLATFORM and not reads_members
    return decide(holds, operation.needed, None if of_platform else project.pk).allowed


def fits(operation: Operation, code: int, *, permitted: bool) -> bool:
    """Whether the answer is what the policy says. About their own things everybody may ask, about no other's."""
    if permitted:
        return code not in {401, 403, 404} and code < 500
    if operation.own and not operation.detail:
        return code not in {401, 404} and code < 500
    return code in {403, 404}


def surprises(api: Client, holds: Standing, world: World) -> dict[tuple[str, str], int]:
    """Where the answer is not what the policy says."""
    found = {}
    for operation in OPERATIONS:
        code = ask(api, operation, world).status_code
        if not fits(operation, code, permitted=permitted(holds, operation, world.project)):
            found[operation.method, operation.path] = code
    return found


def leaks(api: Client, world: World) -> dict[tuple[str, str], Any]:
    """What somebody without any right in the world is told of it, or finds there."""
    found = {}
    for operation in OPERATIONS:
        if operation.noun in OF_ALL_READERS:
            continue
        response = ask(api, operation, world)
        told = {mark for mark in world.marks if mark in response.content.decode()}
        if told or (operation.detail and response.status_code != 404):
            found[operation.method, operation.path] = response.status_code, told
    return found
