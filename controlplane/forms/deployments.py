"""Forms of deployments: ordering engines, changing, scaling and ending them."""

from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from audit.record import Actor
from controlplane.actions.change_deployment import change_deployment
from controlplane.actions.create_deployment import create_deployment
from controlplane.actions.delete_deployment import delete_deployment
from controlplane.actions.scale_deployment import scale_deployment
from controlplane.engine_options import LONGEST_KEY
from controlplane.engine_secrets import shown_env
from controlplane.engine_tls import LONGEST as LONGEST_CA
from controlplane.lifecycle import VersionState
from controlplane.models import Deployment, ModelVersion, Project
from controlplane.models.deployments import Backend, Flavour
from controlplane.roles import Permission

from .base import WHY, ActionForm
from .json_field import ObjectField


def _engine_args() -> ObjectField:
    return ObjectField(
        label=_("Engine arguments"),
        help_text=_(
            "vLLM's own flags as a JSON object, without the dashes in front, "
            'such as <code>{"max-model-len": 2048}</code>. Empty: vLLM\'s defaults.'
        ),
    )


def _kubernetes() -> ObjectField:
    return ObjectField(
        label=_("Options of the pods"),
        help_text=_(
            'As a JSON object, such as <code>{"model_volume": {"claim": "models"}, '
            '"node_selector": {"gpu": "h100"}}</code>. docs/kubernetes.md lists them.'
        ),
    )


def _tls_ca() -> forms.CharField:
    return forms.CharField(
        label=_("CA certificates"), required=False, max_length=LONGEST_CA,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "placeholder": "-----BEGIN CERTIFICATE-----"}),
        help_text=_("In PEM: an https engine is checked against them. Empty: against those that the machine trusts."),
    )  # fmt: skip


def _tls_unchecked() -> forms.BooleanField:
    return forms.BooleanField(
        label=_("Do not check its certificate"), required=False,
        help_text=_("Dangerous: whoever gets in between reads every prompt and answer, and can pose as the engine."),
    )  # fmt: skip


def _external_key(**kwargs: Any) -> forms.CharField:
    return forms.CharField(
        label=_("Key"), required=False, max_length=LONGEST_KEY, strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}), **kwargs,
    )  # fmt: skip


class DeploymentForm(ActionForm):
    testid = "deployment-form"

    name = forms.CharField(label=_("Name"), max_length=52, help_text=_("Lower-case letters, digits and hyphens."))
    version = forms.ModelChoiceField(ModelVersion.objects.none(), label=_("Version"), empty_label=None)
    flavour = forms.ChoiceField(label=_("Engine"), choices=Flavour.choices, initial=Flavour.VLLM_CPU)
    backend = forms.ChoiceField(
        label=_("Where it runs"), required=False, initial=Backend.PROCESS,
        choices=[it for it in Backend.choices if it[0] != Backend.EXTERNAL],
    )  # fmt: skip
    kubernetes = _kubernetes()
    external_url = forms.CharField(
        label=_("URL"), required=False, max_length=200,
        help_text=_("Only for an OpenAI-compatible engine that Signalbox does not start, such as http://10.0.0.5:8000."),
    )  # fmt: skip
    external_key = _external_key(help_text=_("What the engine asks for as its bearer. It is kept sealed."))
    tls_ca = _tls_ca()
    tls_unchecked = _tls_unchecked()
    replicas = forms.IntegerField(label=_("Replicas"), min_value=0, max_value=64, initial=1)
    engine_args = _engine_args()
    served_name = forms.CharField(
        label=_("Served name"), max_length=200, required=False,
        help_text=_("What the engine calls the model. Empty: the model's name."),
    )  # fmt: skip
    project = forms.ModelChoiceField(
        Project.objects.none(), label=_("Project"), required=False, empty_label=_("The platform")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offer_projects(Permission.DEPLOYMENT_CREATE)
        self.offer("version", self.seen(ModelVersion).filter(state=VersionState.AVAILABLE).select_related("model"))
        for name in ("flavour", "backend"):
            self.fields[name].widget.attrs["data-shows"] = ""
        self.show_for("kubernetes", f"backend={Backend.KUBERNETES}")
        for name in ("external_url", "external_key", "tls_ca", "tls_unchecked"):
            self.show_for(name, f"flavour={Flavour.EXTERNAL}")
        for name in ("backend", "replicas", "engine_args"):
            self.show_for(name, f"flavour={Flavour.VLLM_CPU},{Flavour.VLLM}")

    def perform(self, actor: Actor) -> Deployment:
        values = self.cleaned_data
        backend = Backend.EXTERNAL if values["flavour"] == Flavour.EXTERNAL else values["backend"] or Backend.PROCESS
        return create_deployment(
            name=values["name"], version=values["version"], project=values["project"], flavour=values["flavour"],
            backend=backend, kubernetes=values["kubernetes"] if backend == Backend.KUBERNETES else {},
            replicas=values["replicas"],
            engine_args=values["engine_args"], external_url=values["external_url"],
            external_key=values["external_key"], tls_ca=values["tls_ca"],
            tls_verify=not values["tls_unchecked"], served_name=values["served_name"],
            actor=actor, reason=self.why,
        )  # fmt: skip


class ScaleForm(ActionForm):
    testid = "scale-form"

    replicas = forms.IntegerField(
        label=_("Replicas"),
        min_value=0,
        max_value=64,
        help_text=_("0 stops all engines, keeps the deployment and needs a reason."),
    )

    def __init__(self, *args: Any, subject: Deployment, **kwargs: Any) -> None:
        super().__init__(*args, subject=subject, **kwargs)
        self.initial.setdefault("replicas", subject.replicas)

    def perform(self, actor: Actor) -> Deployment:
        return scale_deployment(self.subject, replicas=self.cleaned_data["replicas"], actor=actor, reason=self.why)


_OF_THE_FORM = frozenset({"tls_unchecked", "external_key", "without_key"})
"""fields that are no fields of a deployment, or not shown again"""


class ChangeDeploymentForm(ActionForm):
    testid = "change-form"

    version = forms.ModelChoiceField(ModelVersion.objects.none(), label=_("Version"), empty_label=None)
    external_url = forms.CharField(label=_("URL"), required=False, max_length=200)
    external_key = _external_key(help_text=_("Empty: it stays as it is."))
    without_key = forms.BooleanField(label=_("The engine asks for no key any more"), required=False)
    tls_ca = _tls_ca()
    tls_unchecked = _tls_unchecked()
    engine_args = _engine_args()
    engine_env = ObjectField(
        label=_("Engine environment"),
        help_text=_("Environment variables of the engine as a JSON object of texts. ••• leaves a value as it is."),
    )
    kubernetes = _kubernetes()
    served_name = forms.CharField(label=_("Served name"), max_length=200)
    drain_seconds = forms.IntegerField(
        label=_("Drain time"), min_value=0, max_value=32_767,
        help_text=_("Seconds that running requests get before the engine is killed."),
    )  # fmt: skip

    def __init__(self, *args: Any, subject: Deployment, **kwargs: Any) -> None:
        super().__init__(*args, subject=subject, **kwargs)
        # The version that runs stays selectable even when it has been retired since.
        choosable = Q(state=VersionState.AVAILABLE) | Q(pk=subject.version_id)
        self.offer("version", self.seen(ModelVersion).filter(choosable).select_related("model"))
        if subject.flavour != Flavour.EXTERNAL:
            for name in ("external_url", "external_key", "without_key", "tls_ca", "tls_unchecked"):
                del self.fields[name]
        elif not subject.external_key:
            del self.fields["without_key"]
        if subject.backend != Backend.KUBERNETES:
            del self.fields["kubernetes"]
        self.initial.setdefault("tls_unchecked", not subject.tls_verify)
        self.initial.setdefault("engine_env", shown_env(subject))
        for name in self.fields.keys() - {*WHY, *_OF_THE_FORM}:
            self.initial.setdefault(name, getattr(subject, name))

    def perform(self, actor: Actor) -> Deployment:
        wanted = {name: self.cleaned_data[name] for name in self.fields if name not in {*WHY, *_OF_THE_FORM}}
        if self.cleaned_data.get("external_key") or self.cleaned_data.get("without_key"):
            wanted["external_key"] = self.cleaned_data["external_key"]
        if "tls_unchecked" in self.fields:
            wanted["tls_verify"] = not self.cleaned_data["tls_unchecked"]
        return change_deployment(self.subject, actor=actor, reason=self.why, **wanted)


class DeleteDeploymentForm(ActionForm):
    testid = "delete-form"
    reason_required = True

    def perform(self, actor: Actor) -> Deployment:
        return delete_deployment(self.subject, actor=actor, reason=self.why)
