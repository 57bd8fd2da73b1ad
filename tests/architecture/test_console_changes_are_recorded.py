"""Every form of the console leaves an event that says who sent it and how they were signed in.

A form is a noun's `add_form` or one of its verbs. A new one fails here until it stands in `FORMS`, with what is to be
entered besides what it shows by itself.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from audit.models import Event, Hold
from audit.operations import Operation
from controlplane.admin.base import ConsoleAdmin
from controlplane.models import ManagementToken, User
from tests import factories
from tests.console.conftest import alice_console, nothing_remembered  # noqa: F401 - the fixtures

pytestmark = pytest.mark.django_db
Entered = Callable[[], dict[str, Any]]


class Form(NamedTuple):
    """What is entered, and the subject of a verb; None: something is added."""

    entered: Entered
    subject: Callable[[], Any] | None = None


def reason() -> dict[str, Any]:
    return {"reason": "over"}


def one_target() -> dict[str, Any]:
    return {
        "targets-TOTAL_FORMS": 1, "targets-INITIAL_FORMS": 0, "targets-0-weight": 5,
        "targets-0-deployment": factories.DeploymentFactory().pk,
    }  # fmt: skip


def a_token() -> ManagementToken:
    return ManagementToken.objects.create(user=factories.UserFactory(), name="t", digest="d")


def a_project_that_keeps() -> Any:
    return factories.BodyKeyFactory(person="dora").project


def a_limit() -> Any:
    return factories.LimitFactory(route=factories.RouteFactory())


FORMS: dict[str, Form] = {
    "export add": Form(lambda: {"format": "csv"}),
    "suspension lift": Form(reason, factories.SuspensionFactory),
    "hold add": Form(lambda: {"of": "project", "name": factories.ProjectFactory().name, "reason": "lawsuit"}),
    "hold lift": Form(reason, lambda: Hold.objects.create(of="actor", name="k", reason="lawsuit", placed_by="alice")),
    "export cancel": Form(reason, factories.ExportFactory),
    "project add": Form(lambda: {"name": "p"}),
    "project change": Form(lambda: {"title": "new"}, factories.ProjectFactory),
    "project erase_bodies": Form(lambda: {"person": "dora", "reason": "asked for it"}, a_project_that_keeps),
    "model add": Form(lambda: {"name": "m"}),
    "modelversion add": Form(lambda: {"model": factories.ModelFactory().pk, "name": "v", "source": "hf:org/m"}),
    "modelversion price": Form(
        lambda: {"prompt_price_micros": "2.5", "completion_price_micros": "10"}, factories.VersionFactory
    ),
    "modelversion retire": Form(reason, factories.VersionFactory),
    "deployment add": Form(lambda: {"name": "d", "version": factories.VersionFactory().pk}),
    "deployment scale": Form(lambda: {"replicas": 3}, factories.DeploymentFactory),
    "deployment change": Form(lambda: {"drain_seconds": 7}, factories.DeploymentFactory),
    "deployment delete": Form(reason, factories.DeploymentFactory),
    "route add": Form(lambda: {"name": "r", **one_target()}),
    "route change": Form(one_target, factories.RouteFactory),
    "route rules": Form(
        lambda: {"rules-TOTAL_FORMS": 0, "rules-INITIAL_FORMS": 0, "affinity_header": "x-user"}, factories.RouteFactory
    ),
    "route timeouts": Form(lambda: {"total": 60}, factories.RouteFactory),
    "route delete": Form(reason, factories.RouteFactory),
    "apikey add": Form(lambda: {"project": factories.ProjectFactory().pk, "name": "k"}),
    "apikey limit": Form(lambda: {"concurrency": 1}, factories.ApiKeyFactory),
    "apikey change": Form(lambda: {"name": "new"}, factories.ApiKeyFactory),
    "apikey rotate": Form(lambda: {"overlap": "0"}, factories.ApiKeyFactory),
    "apikey revoke": Form(reason, factories.ApiKeyFactory),
    "managementtoken add": Form(lambda: {"name": "t", "user": User.objects.get(username="alice").pk}),
    "managementtoken revoke": Form(reason, a_token),
    "limit add": Form(lambda: {"route": factories.RouteFactory().pk, "concurrency": 1}),
    "limit change": Form(lambda: {"concurrency": 9}, a_limit),
    "limit remove": Form(reason, a_limit),
    "alertrule add": Form(
        lambda: {"name": "r", "metric": "kv_cache_use", "aggregation": "avg", "comparison": ">", "threshold": 85}
    ),
    "alertrule change": Form(lambda: {"threshold": 90}, factories.AlertRuleFactory),
    "alertrule delete": Form(reason, factories.AlertRuleFactory),
    "alert acknowledge": Form(dict, factories.AlertFactory),
    "silence add": Form(lambda: {"hours": 2, "comment": "works"}),
    "silence end": Form(reason, factories.SilenceFactory),
    "channel add": Form(
        lambda: {"name": "c", "kind": "webhook", "url": "https://alerts.example.com/h", "language": "en"}
    ),
    "channel change": Form(lambda: {"name": "new"}, factories.ChannelFactory),
    "channel test": Form(dict, factories.ChannelFactory),
    "channel delete": Form(reason, factories.ChannelFactory),
    "user add": Form(lambda: {"username": "dora"}),
    "user grant": Form(lambda: {"role": "viewer"}, factories.UserFactory),
    "rolebinding add": Form(lambda: {"user": factories.UserFactory().username, "role": "viewer"}),
    "rolebinding revoke": Form(reason, lambda: factories.BindingFactory(user=factories.UserFactory())),
    "user issue_password": Form(reason, factories.UserFactory),
}


def of_forms(events: list[Event]) -> list[Event]:
    """All but that alice has signed in."""
    return [event for event in events if event.operation != Operation.USER_SIGNED_IN]


def pages() -> Iterator[tuple[str, ConsoleAdmin]]:
    for model, page in admin.site._registry.items():
        if isinstance(page, ConsoleAdmin):
            yield str(model._meta.model_name), page


def offered() -> dict[str, Any]:
    """noun and verb -> the form's class."""
    found: dict[str, Any] = {f"{noun} add": page.add_form for noun, page in pages() if page.add_form}
    return found | {f"{noun} {verb.name}": verb.form for noun, page in pages() for verb in page.verbs}


def test_every_form_is_sent() -> None:
    assert sorted(offered().keys() ^ FORMS.keys()) == []


def app_of(noun: str) -> str:
    """Whose the model is."""
    return "audit" if noun == "hold" else "controlplane"


def address(which: str) -> str:
    noun, _, verb = which.partition(" ")
    subject = FORMS[which].subject
    if subject is None:
        return reverse(f"admin:{app_of(noun)}_{noun}_add")
    return reverse(f"admin:{app_of(noun)}_{noun}_do_{verb}", args=[subject().pk])


def shown_by_itself(form: Any) -> dict[str, Any]:
    """What a browser would send back untouched."""
    values = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in values.items() if value not in (None, False)}


@pytest.mark.parametrize("which", FORMS)
def test_form_leaves_an_event(which: str, alice_console: Client, events: Callable[[], list[Event]]) -> None:  # noqa: F811
    entered = FORMS[which].entered()
    path = address(which)
    page = alice_console.get(path)
    response = alice_console.post(path, shown_by_itself(page.context["form"]) | entered)
    form = response.context["form"].errors if response.context and "form" in response.context else ""
    assert response.status_code in {200, 302}
    assert not form, form
    left = of_forms(events())
    assert left, "nothing is in the register"
    for event in left:
        assert (event.actor_type, event.actor_name, event.source) == ("user", "alice", "ui")
        assert (event.auth_method, event.request_id) == ("session", response["X-Request-ID"])


@pytest.mark.parametrize("which", sorted(it for it in FORMS if FORMS[it].entered is reason))
def test_what_ends_something_asks_why(which: str, alice_console: Client, events: Callable[[], list[Event]]) -> None:  # noqa: F811
    path = address(which)
    assert alice_console.get(path).context["form"].fields["reason"].required
    response = alice_console.post(path, {})
    assert "reason" in response.context["form"].errors
    assert of_forms(events()) == []
