"""Asking every page of the console with one person's browser, and what the policies say should come of it."""

from typing import Any

from django.db import transaction
from django.test import Client as Browser
from django.urls import reverse

from controlplane.models import User
from controlplane.roles import Permission, Standing, decide, reach
from tests.access.routes import pages
from tests.access.world import World

OPEN = {
    "login": "the door",
    "logout": "the way out",
    "jsi18n": "texts for scripts",
    "theme": "colours; the door has them, too",
}
FOR_ALL_INSIDE = {
    "index": "each part of it asks for itself",
    "overview_live": "each part of it asks for itself",
    "password_change": "one's own",
    "password_change_done": "one's own",
}
OF_ONE_SESSION = {"shown_once": "what waits for this very browser, once; tests/console/test_secrets_shown_once.py"}
NEEDING = {
    "register_seals": Permission.AUDIT_READ,
    "playground": Permission.API_KEY_CREATE,
    "playground_answer": Permission.API_KEY_CREATE,
}
OF_AN_EVENT = {"event_bodies": Permission.AUDIT_BODY_READ}
OF_DJANGO = {
    "autocomplete": "shows what the noun's page shows, and only where a field asks for it",
    "view_on_site": "leads to a page of the noun, none of which has one",
    "app_list": "an index of nothing: the navigation is the list",
    "search": "Unfold's: it searches the names of pages",
    "": "what is no page",
}
PAGES = pages()


def path_of(name: str, world: World) -> str:
    if name in OF_AN_EVENT:
        return reverse(f"admin:{name}", args=[world.things["audit/events"].pk])
    noun = name.split("_")[1] if name in PAGES else ""
    if name not in PAGES or name.endswith(("_changelist", "_add", "_roles")):
        return reverse(f"admin:{name}")
    key = world.by_model[noun].pk
    of_a_replica = name.endswith(("_log", "_deployment_events"))
    return reverse(f"admin:{name}", args=[key, "alpha-deployment-0"] if of_a_replica else [key])


def permitted(holds: Standing, name: str, world: World) -> bool:
    needed = PAGES.get(name) or NEEDING.get(name) or OF_AN_EVENT.get(name)
    if needed is None:
        return True
    if name == "controlplane_user_do_grant":
        seen = decide(holds, Permission.USER_READ, world.project.pk).allowed
        return seen and bool(reach(holds, needed))
    if name.startswith("controlplane_node_"):
        return decide(holds, needed, None).allowed
    if name in NEEDING or name.endswith(("_changelist", "_add", "_roles")):
        return bool(reach(holds, needed))
    of_platform = (
        name.startswith(("controlplane_user_do_", "controlplane_suspension_", "audit_hold_"))
        or name == "controlplane_modelversion_do_price"
    )
    return decide(holds, needed, None if of_platform else world.project.pk).allowed


def send(browser: Browser, method: str, path: str) -> Any:
    """Whatever it changed is undone."""
    with transaction.atomic():
        response = getattr(browser, method)(path, {"reason": "because"})
        transaction.set_rollback(True)
    return response


def surprises(browser: Browser, holds: Standing | None, world: World) -> dict[tuple[str, str], int]:
    """Where a page opened that should not, or did not that should. `holds` None: nobody is signed in."""
    found = {}
    for name in [*PAGES, *FOR_ALL_INSIDE, *NEEDING, *OF_AN_EVENT]:
        for method in ("get", "post"):
            code = send(browser, method, path_of(name, world)).status_code
            if holds is None:
                fits = code == 302
            elif permitted(holds, name, world):
                fits = code < 500 and code not in {401, 403, 404}
            else:
                fits = code in {403, 404, 405}
            if not fits:
                found[method, name] = code
    return found


def browser_of(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser
