"""Rows for tests that start from a given state; what an action does is tested through the action."""

import base64
from datetime import timedelta
from typing import Any

import factory
from django.conf import settings
from django.utils import timezone
from factory.django import DjangoModelFactory

from controlplane.lifecycle import AlertState, ReplicaState
from controlplane.models import (
    Alert,
    AlertRule,
    ApiKey,
    BodyKey,
    Channel,
    Delivery,
    Deployment,
    DeploymentStatus,
    Export,
    Limit,
    Model,
    ModelVersion,
    Node,
    Project,
    Replica,
    RoleBinding,
    Route,
    RouteTarget,
    ServiceAccount,
    Silence,
    Suspension,
    Usage,
    User,
    UserSession,
)
from controlplane.roles import Role
from controlplane.sealing import seal
from inference.contract import bodies, keys


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"user-{n}")
    password = "!"  # nobody signs in with it


class BodyKeyFactory(DjangoModelFactory[BodyKey]):
    """A person's key pair in a project that keeps contents."""

    class Meta:
        model = BodyKey
        skip_postgeneration_save = True

    project = factory.SubFactory("tests.factories.ProjectFactory", register_mode="full")
    person = factory.Sequence(lambda n: f"person-{n}")

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> BodyKey:
        private = bodies.new_private()
        pair = model_class(*args, public=bodies.public_of(private), **kwargs)
        seal(pair, "private", base64.b64encode(private).decode())
        pair.save()
        return pair


class BindingFactory(DjangoModelFactory[RoleBinding]):
    """A role for a person or a machine; on the platform unless a project is given."""

    class Meta:
        model = RoleBinding

    role = Role.VIEWER


class ProjectFactory(DjangoModelFactory[Project]):
    class Meta:
        model = Project

    name = factory.Sequence(lambda n: f"project-{n}")


class ServiceAccountFactory(DjangoModelFactory[ServiceAccount]):
    class Meta:
        model = ServiceAccount

    name = factory.Sequence(lambda n: f"machine-{n}")


class SessionFactory(DjangoModelFactory[UserSession]):
    """A live session of the management API."""

    class Meta:
        model = UserSession

    user = factory.SubFactory(UserFactory)
    kind = UserSession.Kind.API
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(days=1))


class ModelFactory(DjangoModelFactory[Model]):
    class Meta:
        model = Model

    name = factory.Sequence(lambda n: f"model-{n}")


class VersionFactory(DjangoModelFactory[ModelVersion]):
    class Meta:
        model = ModelVersion

    model = factory.SubFactory(ModelFactory)
    name = factory.Sequence(lambda n: f"v{n}")
    source = "/srv/models/weights"


class DeploymentFactory(DjangoModelFactory[Deployment]):
    class Meta:
        model = Deployment
        skip_postgeneration_save = True

    name = factory.Sequence(lambda n: f"deployment-{n}")
    version = factory.SubFactory(VersionFactory)
    served_name = factory.SelfAttribute("version.model.name")
    status = factory.RelatedFactory("tests.factories.StatusFactory", factory_related_name="deployment")


class StatusFactory(DjangoModelFactory[DeploymentStatus]):
    class Meta:
        model = DeploymentStatus

    deployment = factory.SubFactory(DeploymentFactory, status=None)


class ReplicaFactory(DjangoModelFactory[Replica]):
    class Meta:
        model = Replica

    deployment = factory.SubFactory(DeploymentFactory)
    ordinal = factory.Sequence(lambda n: n)
    name = factory.LazyAttribute(lambda replica: f"{replica.deployment.name}-{replica.ordinal}")
    state = ReplicaState.READY
    url = "http://127.0.0.1:9000"


class UsageFactory(DjangoModelFactory[Usage]):
    """What a key of a project used today."""

    class Meta:
        model = Usage

    day = factory.LazyFunction(timezone.localdate)
    project = factory.SubFactory(ProjectFactory)
    project_name = factory.LazyAttribute(lambda usage: usage.project.name)
    key_id = factory.Sequence(lambda n: f"{n:08}")
    key_name = "app"
    route = "chat"
    version = "m:v1"
    requests = 10
    failed = 1
    prompt_tokens = 100
    completion_tokens = 50
    cost_micros = 2_500_000


class NodeFactory(DjangoModelFactory[Node]):
    """One that was seen just now."""

    class Meta:
        model = Node

    name = factory.Sequence(lambda n: f"node-{n}")
    backend = "process"
    cpu_cores = 8
    memory_bytes = 64 * 2**30
    memory_available_bytes = 48 * 2**30
    last_seen_at = factory.LazyFunction(timezone.now)


class RouteFactory(DjangoModelFactory[Route]):
    class Meta:
        model = Route

    name = factory.Sequence(lambda n: f"route-{n}")


class TargetFactory(DjangoModelFactory[RouteTarget]):
    class Meta:
        model = RouteTarget

    route = factory.SubFactory(RouteFactory)
    deployment = factory.SubFactory(DeploymentFactory)


class ApiKeyFactory(DjangoModelFactory[ApiKey]):
    class Meta:
        model = ApiKey
        exclude = ("parsed",)

    parsed = factory.LazyFunction(keys.generate)
    project = factory.SubFactory(ProjectFactory)
    name = factory.Sequence(lambda n: f"key {n}")
    key_id = factory.LazyAttribute(lambda key: key.parsed.id)
    digest = factory.LazyAttribute(lambda key: keys.digest(key.parsed.token, keys.pepper(settings.SECRET_KEY)))


class LimitFactory(DjangoModelFactory[Limit]):
    class Meta:
        model = Limit

    requests_per_minute = 60


class AlertRuleFactory(DjangoModelFactory[AlertRule]):
    """KV cache above 85 %, of every deployment."""

    class Meta:
        model = AlertRule

    name = factory.Sequence(lambda n: f"rule {n}")
    metric = "kv_cache_use"
    aggregation = "avg"
    threshold = 85.0


class AlertFactory(DjangoModelFactory[Alert]):
    """One that fires."""

    class Meta:
        model = Alert

    rule = factory.SubFactory(AlertRuleFactory)
    rule_name = factory.SelfAttribute("rule.name")
    project = factory.SelfAttribute("rule.project")
    fingerprint = factory.Sequence(lambda n: f"{n:064x}")
    subject_kind = "replica"
    subject = factory.Sequence(lambda n: f"replica-{n}")
    severity = "warning"
    metric = "kv_cache_use"
    aggregation = "avg"
    window_seconds = 300
    comparison = ">"
    threshold = 85.0
    value = 97.0
    state = AlertState.FIRING
    reason = "held_long_enough"
    began_at = factory.LazyFunction(timezone.now)
    state_at = factory.LazyFunction(timezone.now)
    fired_at = factory.LazyFunction(timezone.now)


class SilenceFactory(DjangoModelFactory[Silence]):
    """Of everything, now and for an hour."""

    class Meta:
        model = Silence

    starts_at = factory.LazyFunction(timezone.now)
    ends_at = factory.LazyFunction(lambda: timezone.now() + timedelta(hours=1))
    comment = "maintenance"


class ChannelFactory(DjangoModelFactory[Channel]):
    """A webhook; `url` and `secret` are sealed."""

    class Meta:
        model = Channel

    url = "https://alerts.example.com/hook"
    secret = ""
    name = factory.Sequence(lambda n: f"channel {n}")
    kind = "webhook"
    shown_url = "https://alerts.example.com/•••"

    @classmethod
    def _create(cls, model_class: type[Channel], *args: Any, **kwargs: Any) -> Channel:
        url, secret = kwargs.pop("url"), kwargs.pop("secret")
        channel = model_class(*args, **kwargs)
        seal(channel, "sealed_url", url)
        seal(channel, "sealed_secret", secret)
        channel.save()
        return channel


class DeliveryFactory(DjangoModelFactory[Delivery]):
    """One that was sent."""

    class Meta:
        model = Delivery

    channel = factory.SubFactory(ChannelFactory)
    title = "an alert"
    state = "sent"
    due_at = factory.LazyFunction(timezone.now)


class ExportFactory(DjangoModelFactory[Export]):
    """Ordered by the system, of the whole register until now."""

    class Meta:
        model = Export

    format = "jsonl"
    selection = factory.LazyFunction(lambda: {"until": timezone.now().isoformat()})
    requester_type = "system"
    requester_id = "test"
    requester_name = "test"


class SuspensionFactory(DjangoModelFactory[Suspension]):
    """Of somebody who is not there, for half an hour."""

    class Meta:
        model = Suspension

    actor_type = "user"
    actor_id = "0"
    actor_name = "somebody"
    rule = "deletions"
    count = 101
    most = 100
    window_seconds = 600
    until = factory.LazyFunction(lambda: timezone.now() + timedelta(minutes=30))
