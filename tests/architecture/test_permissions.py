"""Every action asks for exactly one registered permission, and every registered one is asked for."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest
from django.conf import settings

from controlplane import actions
from controlplane.access.lookups import SIGHTS
from controlplane.management.commands.draw_roles import draw
from controlplane.roles import PERMISSIONS_OF, Permission, Role
from tests.access.routes import operations, pages

# Public functions of actions with an `actor` that ask for none themselves.
ASK_NOTHING = {
    "add_alert_presets": "made of actions that ask",
    "bootstrap": "made of actions that ask",
    "connect_engine": "made of actions that ask",
    "deploy_default_model": "made of actions that ask",
    "change_password": "only one's own",
    "require_owning": "is the check itself; it is told the permission",
    "end_all": "a part of actions that have asked",
    "end_playground_keys": "a part of actions that have asked",
    "start_api_session": "asks for a password",
    "refresh_session": "asks for a refresh token",
    "stop_session": "asks for the session's own token",
}
NOT_YET: dict[Permission, str] = {}


def functions() -> Iterator[tuple[str, ast.FunctionDef, ast.Module]]:
    for module in pkgutil.iter_modules(actions.__path__):
        loaded = importlib.import_module(f"{actions.__name__}.{module.name}")
        tree = ast.parse(inspect.getsource(loaded))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                arguments = {it.arg for it in (*node.args.args, *node.args.kwonlyargs)}
                if "actor" in arguments:
                    yield node.name, node, tree


def asked(function: ast.FunctionDef, tree: ast.Module) -> list[str]:
    """The permissions that a function, or a private one of the same file that it calls, requires."""
    found = []
    local = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("_")}
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in {"require", "require_owning"}:
            found += [it.attr for argument in node.args for it in ast.walk(argument) if _is_permission(it)]
        elif node.func.id in local:
            found += asked(local[node.func.id], tree)
    return found


def _is_permission(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Permission"


ASKED = {name: asked(function, tree) for name, function, tree in functions()}


@pytest.mark.parametrize("name", sorted(ASKED.keys() - ASK_NOTHING.keys()))
def test_action_asks_for_exactly_one(name: str) -> None:
    assert len(ASKED[name]) == 1
    assert ASKED[name][0] in Permission.__members__


def test_exceptions_are_there_and_ask_for_nothing() -> None:
    assert {name: ASKED.get(name) for name in ASK_NOTHING} == {name: [] for name in ASK_NOTHING}


def test_every_permission_is_asked_for() -> None:
    by_actions = {Permission[name] for names in ASKED.values() for name in names}
    by_sights = {sight.permission for sight in SIGHTS.values()}
    by_views = {operation.needed for operation in operations()} | set(pages().values())
    assert sorted(set(Permission) - by_actions - by_sights - by_views) == sorted(NOT_YET)


def test_names_are_noun_and_verb() -> None:
    assert [it for it in Permission if it != it.name.lower()[::-1].replace("_", ".", 1)[::-1]] == []


def test_roles_are_data_and_grow_by_whole_roles() -> None:
    assert set(PERMISSIONS_OF) == set(Role)
    assert PERMISSIONS_OF[Role.OWNER] == set(Permission)
    assert PERMISSIONS_OF[Role.VIEWER] < PERMISSIONS_OF[Role.DEVELOPER] < PERMISSIONS_OF[Role.OPERATOR]
    assert all(it.endswith(".read") for it in PERMISSIONS_OF[Role.VIEWER])
    assert PERMISSIONS_OF[Role.AUDITOR] == {Permission.AUDIT_READ, Permission.AUDIT_EXPORT, Permission.AUDIT_BODY_READ}


def test_who_reads_limits_reads_their_keys() -> None:
    """A limit names its key, and the database shows a key only to who may read keys."""
    assert all(Permission.API_KEY_READ in held for held in PERMISSIONS_OF.values() if Permission.LIMIT_READ in held)


def test_who_makes_keys_reads_them() -> None:
    """PostgreSQL lets nobody write a key that they would not see."""
    writing = {
        Permission.API_KEY_CREATE,
        Permission.API_KEY_CHANGE,
        Permission.API_KEY_ROTATE,
        Permission.API_KEY_REVOKE,
    }
    assert all(Permission.API_KEY_READ in held for held in PERMISSIONS_OF.values() if writing & held)


def test_document_is_drawn_from_the_code() -> None:
    assert (settings.BASE_DIR / "docs" / "roles.md").read_text() == draw()
