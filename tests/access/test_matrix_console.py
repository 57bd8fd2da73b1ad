"""S2, the console: every page × everybody, asked and sent to: a page opens to whom its policy lets in, to nobody else.

The pages come from the URLconf, what each needs from its noun. A new one without a declared policy fails. The rest of
the matrix stands in tests/proofs.
"""

import pytest
from django.contrib import admin
from django.test import Client as Browser
from django.urls import reverse

from controlplane.admin.base import ConsoleAdmin
from controlplane.models import User
from controlplane.roles import Role
from tests.access.matrix import standing
from tests.access.matrix_console import (
    FOR_ALL_INSIDE,
    NEEDING,
    OF_AN_EVENT,
    OF_DJANGO,
    OF_ONE_SESSION,
    OPEN,
    PAGES,
    browser_of,
    path_of,
    surprises,
)
from tests.access.routes import CONSOLE, routes
from tests.access.world import World, make, person

pytestmark = pytest.mark.django_db


def test_every_page_declares_its_policy() -> None:
    declared = (OPEN, FOR_ALL_INSIDE, OF_ONE_SESSION, NEEDING, OF_AN_EVENT, OF_DJANGO, PAGES)
    known = {name for pages in declared for name in pages}
    found = {route.name for route in routes() if route.path.startswith(CONSOLE)}
    assert sorted(found - known) == []
    assert {name for name, needed in PAGES.items() if needed is None} == set()
    assert {type(page).__name__ for page in admin.site._registry.values() if not isinstance(page, ConsoleAdmin)} == {
        "EventAdmin"
    }


@pytest.fixture
def alpha() -> World:
    return make("alpha")


def test_stranger_is_led_to_the_door(alpha: World) -> None:
    assert surprises(Browser(), None, alpha) == {}


def test_so_is_who_has_no_seat_in_the_console(alpha: World, charlie_user: User) -> None:
    assert surprises(browser_of(charlie_user), None, alpha) == {}


@pytest.mark.parametrize(
    ("role", "where"), [(Role.OWNER, "beta"), (Role.DEVELOPER, "alpha"), (Role.AUDITOR, "platform"), (None, "platform")]
)
def test_role_opens_its_pages_and_no_others(role: Role | None, where: str, alpha: World) -> None:
    project = {"platform": None, "alpha": alpha.project, "beta": make("beta").project}[where]
    holder = person("holder", role, project)
    assert surprises(browser_of(holder), standing(holder), alpha) == {}


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.AUDITOR, None])
def test_navigation_leads_where_one_may_go(role: Role | None, alpha: World) -> None:
    from controlplane.site import navigation

    holder = person("holder", role, alpha.project)
    browser = browser_of(holder)
    request = browser.get(reverse("admin:index")).wsgi_request
    shown = {
        str(item["link"]) for section in navigation(request) for item in section["items"] if item["permission"](request)
    }
    assert {path: browser.get(path).status_code for path in shown} == dict.fromkeys(shown, 200)
    lists = {path_of(name, alpha) for name in [*PAGES, "playground"] if name.endswith(("_changelist", "playground"))}
    within = ("modelversion", "alertrule", "channel", "silence", "delivery")  # one gets there from another page
    hidden = lists - shown - {reverse(f"admin:controlplane_{noun}_changelist") for noun in within}
    assert {path: browser.get(path).status_code for path in hidden} == dict.fromkeys(hidden, 403)


def test_auditor_is_shown_the_register_alone(alpha: World) -> None:
    browser = browser_of(person("audrey", Role.AUDITOR, None))
    page = browser.get(reverse("admin:index")).content.decode()
    assert reverse("admin:audit_event_changelist") in page
    assert "alpha-deployment" not in page
    for name in PAGES:
        if name.endswith("_changelist") and not name.startswith(("audit_", "controlplane_export_")):
            assert reverse(f"admin:{name}") not in page


@pytest.mark.parametrize("key", ["nonsense", "0190aaaa-0000-7000-8000-000000000000", "%00"])
@pytest.mark.parametrize("noun", ["deployment", "route", "apikey", "user", "model"])
def test_unknown_id_is_not_found(noun: str, key: str, alice_user: User) -> None:
    assert browser_of(alice_user).get(f"/console/controlplane/{noun}/{key}/").status_code == 404
