"""A project with one of everything, so that each path of the API and the console leads somewhere."""

from dataclasses import dataclass, replace
from typing import Any

from django.utils import timezone

from audit.models import Event, Hold, Seal
from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane.models import ManagementToken, Project, ServiceAccount, User
from controlplane.roles import Role
from tests import factories
from tests.audit.seals import seal

SYSTEM = Actor(type="system", id="test", name="test", source="cli")


@dataclass
class World:
    """The objects of one project by the nouns of the API, and by the names of the console's models."""

    project: Project
    things: dict[str, Any]

    @property
    def by_model(self) -> dict[str, Any]:
        return {thing._meta.model_name: thing for thing in self.things.values() if not isinstance(thing, str)}

    @property
    def marks(self) -> set[str]:
        """Texts that stand in answers about this project and in no other's."""
        return {
            str(getattr(thing, "pk", thing))
            for noun, thing in self.things.items()
            if noun not in {"roles", "users", "audit/seals", "audit/holds", "audit/months"}
        }


def make(name: str) -> World:
    """The names of all that is in it begin with the project's."""
    project = factories.ProjectFactory.create(name=name)
    model = factories.ModelFactory.create(name=f"{name}-model", project=project)
    version = factories.VersionFactory.create(model=model)
    deployment = factories.DeploymentFactory.create(name=f"{name}-deployment", project=project, version=version)
    route = factories.RouteFactory.create(name=f"{name}-route", project=project)
    factories.TargetFactory.create(route=route, deployment=deployment)
    key = factories.ApiKeyFactory.create(project=project, name=f"{name}-key")
    member = factories.UserFactory.create(username=f"{name}-member", is_staff=True)
    machine = factories.ServiceAccountFactory.create(name=f"{name}-machine", project=project)
    event = record(
        Operation.PROJECT_CHANGED,
        actor=replace(SYSTEM, request_id=f"{name}-request"),
        target=Target("project", str(project.pk), name),
        project=name,
    )
    rule = factories.AlertRuleFactory.create(project=project, name=f"{name}-rule")
    channel = factories.ChannelFactory.create(project=project, name=f"{name}-channel")
    things = {
        "projects": project,
        "models": model,
        "versions": version,
        "deployments": deployment,
        "replicas": factories.ReplicaFactory.create(deployment=deployment, name=f"{name}-deployment-0", ordinal=0),
        "routes": route,
        "api-keys": key,
        "nodes": factories.NodeFactory.create(name=f"{name}-node"),
        "usage": factories.UsageFactory.create(project=project),
        "limits": factories.LimitFactory.create(api_key=key),
        "users": member,
        "sessions": factories.SessionFactory.create(user=member),
        "service-accounts": machine,
        "tokens": ManagementToken.objects.create(
            service_account=machine, name=f"{name}-token", digest=f"{name}-digest"
        ),
        "role-bindings": factories.BindingFactory.create(user=member, role=Role.VIEWER, project=project),
        "alert-rules": rule,
        "alerts": factories.AlertFactory.create(rule=rule, project=project),
        "silences": factories.SilenceFactory.create(project=project, comment=f"{name}-silence"),
        "channels": channel,
        "deliveries": factories.DeliveryFactory.create(channel=channel, title=f"{name}-delivery"),
        "roles": Role.VIEWER,
        "audit/events": Event.objects.get(pk=event.id),
        "suspensions": factories.SuspensionFactory.create(actor_name=f"{name}-member"),
        "audit/exports": factories.ExportFactory.create(project=project),
        "audit/holds": Hold.objects.create(of="project", name=name, reason="lawsuit", placed_by="test"),
        "audit/months": f"{timezone.now():%Y-%m}",
        "audit/requests": event.request_id,
        # A writer tells of itself once, which the end of another test may have undone: look for strangers.
        "audit/seals": seal(sweep=True) or Seal.objects.latest("number"),
    }
    return World(project, things)


def person(name: str, role: Role | None, project: Project | None) -> User:
    user: User = factories.UserFactory.create(username=name, is_staff=True)
    if role:
        factories.BindingFactory.create(user=user, role=role, project=project)
    return user


def machine(name: str, role: Role | None, project: Project | None) -> ServiceAccount:
    account: ServiceAccount = factories.ServiceAccountFactory.create(name=name)
    if role:
        factories.BindingFactory.create(service_account=account, role=role, project=project)
    return account
