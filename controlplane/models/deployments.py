"""Versions on backends: what is desired (`Deployment`) and what is observed (`DeploymentStatus`, `Replica`)."""

import json

from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from controlplane.lifecycle import DeploymentState, ReplicaState
from controlplane.sealing import reveal, seal

from .access import Project
from .base import Noun, dns_label, one_line
from .catalog import ModelVersion
from .sealed import SealedField


class Backend(models.TextChoices):
    """Where engines run."""

    PROCESS = "process", _("This machine")
    KUBERNETES = "kubernetes", _("Kubernetes")
    EXTERNAL = "external", _("Not started by Signalbox")


class Flavour(models.TextChoices):
    """Which engine build runs."""

    VLLM_CPU = "vllm-cpu", _("vLLM on CPU")
    VLLM = "vllm", _("vLLM on CUDA")
    EXTERNAL = "external", _("OpenAI-compatible URL")


class Deployment(Noun):
    """A version on a backend. Written by actions only; what became of it stands in `DeploymentStatus`."""

    project = models.ForeignKey(
        Project, models.PROTECT, null=True, blank=True, related_name="deployments", verbose_name=_("project"),
        help_text=_("Empty: it belongs to the platform."),
    )  # fmt: skip
    name = models.CharField(_("name"), max_length=52, unique=True, validators=[dns_label])
    version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="deployments", verbose_name=_("version"))
    backend = models.CharField(_("backend"), max_length=20, choices=Backend.choices, default=Backend.PROCESS)
    flavour = models.CharField(_("engine"), max_length=20, choices=Flavour.choices, default=Flavour.VLLM_CPU)
    replicas = models.PositiveSmallIntegerField(_("replicas"), default=1, validators=[MaxValueValidator(64)])
    engine_args = models.JSONField(
        _("engine arguments"), default=dict, blank=True, help_text=_('For example {"max-model-len": 2048}.')
    )
    sealed_env = SealedField()
    """`engine_env`: people hand tokens to engines this way, under any name"""
    external_url = models.CharField(
        _("URL"), max_length=200, blank=True, help_text=_("Only for an engine that Signalbox does not start.")
    )
    external_key = SealedField()
    """what an external engine asks for as its bearer"""
    served_name = models.CharField(
        _("served name"),
        max_length=200,
        blank=True,
        validators=[one_line],
        help_text=_("What the engine calls the model."),
    )
    tls_ca = models.TextField(
        _("CA certificates"), blank=True,
        help_text=_("In PEM; an external engine behind https is checked against them. Empty: those of the machine."),
    )  # fmt: skip
    tls_verify = models.BooleanField(_("verify the certificate"), default=True)
    drain_seconds = models.PositiveSmallIntegerField(
        _("drain time"), default=30, help_text=_("Seconds that running requests get before the engine is killed.")
    )
    kubernetes = models.JSONField(_("options of the pods"), default=dict, blank=True)
    """of the backend ``kubernetes`` only, as `kubernetes_options.checked` gives them"""
    deleted_at = models.DateTimeField(_("deleted"), null=True, blank=True, editable=False)
    """set by the delete action; the reconciler removes the engines, then the row's name is free again"""

    class Meta:
        ordering = ("name",)
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")

    def __str__(self) -> str:
        return self.name

    @property
    def engine_env(self) -> dict[str, str]:
        """Environment variables of the engines. Raises `Unopenable` without the master key."""
        found: dict[str, str] = json.loads(reveal(self, "sealed_env") or "{}")
        return found

    @engine_env.setter
    def engine_env(self, variables: object) -> None:
        """Whatever was sent: `engine_options` checks it before it is saved."""
        seal(self, "sealed_env", json.dumps(variables) if variables != {} else "")


class DeploymentStatus(models.Model):
    """What the reconciler last saw of a deployment. Written by the reconciler only."""

    deployment = models.OneToOneField(Deployment, models.CASCADE, primary_key=True, related_name="status")
    state = models.CharField(
        _("state"), max_length=20, choices=DeploymentState.choices, default=DeploymentState.PENDING
    )
    message = models.TextField(_("message"), blank=True)
    ready_replicas = models.PositiveSmallIntegerField(_("ready replicas"), default=0)
    observed_at = models.DateTimeField(_("observed"), null=True)

    class Meta:
        verbose_name = _("deployment status")

    def __str__(self) -> str:
        return f"{self.deployment}: {self.state}"


class Replica(Noun):
    """One engine as observed. Written by the reconciler only. Kept after it stops, so that its history can be read."""

    deployment = models.ForeignKey(Deployment, models.CASCADE, related_name="replica_set", verbose_name=_("deployment"))
    name = models.CharField(_("name"), max_length=63, unique=True)
    ordinal = models.PositiveSmallIntegerField(_("ordinal"))
    state = models.CharField(_("state"), max_length=20, choices=ReplicaState.choices, default=ReplicaState.PENDING)
    reason = models.CharField(_("reason"), max_length=64, blank=True)
    message = models.TextField(_("message"), blank=True)
    spec_hash = models.CharField(max_length=64, blank=True)
    url = models.CharField(_("URL"), max_length=300, blank=True)
    pid = models.PositiveIntegerField(_("process id"), null=True)
    restarts = models.PositiveIntegerField(_("restarts"), default=0)
    """starts in a row that failed; back to 0 after it has been ready for a while"""
    retry_at = models.DateTimeField(_("next start"), null=True)
    started_at = models.DateTimeField(_("started"), null=True)
    ready_at = models.DateTimeField(_("ready since"), null=True)

    class Meta:
        ordering = ("deployment__name", "ordinal")
        constraints = (models.UniqueConstraint(fields=("deployment", "ordinal"), name="ordinal_once_a_deployment"),)
        verbose_name = _("replica")
        verbose_name_plural = _("replicas")

    def __str__(self) -> str:
        return self.name


class ReplicaTransition(models.Model):
    """One line of a replica's history: why it changed, with the last lines of its log when it died."""

    id = models.BigAutoField(primary_key=True)
    replica = models.ForeignKey(Replica, models.CASCADE, related_name="history", verbose_name=_("replica"))
    at = models.DateTimeField(_("time"), auto_now_add=True)
    old_state = models.CharField(_("from"), max_length=20, choices=ReplicaState.choices)
    new_state = models.CharField(_("to"), max_length=20, choices=ReplicaState.choices)
    reason = models.CharField(_("reason"), max_length=64, blank=True)
    message = models.TextField(_("message"), blank=True)
    log_tail = models.TextField(_("last log lines"), blank=True)

    class Meta:
        ordering = ("-at", "-id")
        verbose_name = _("transition")
        verbose_name_plural = _("history")

    def __str__(self) -> str:
        return f"{self.replica}: {self.old_state} → {self.new_state}"
