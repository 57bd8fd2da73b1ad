"""Which engine options a deployment may carry, and how its parts must fit together."""

import math
import re
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from controlplane import kubernetes_options
from controlplane.engine_secrets import HIDDEN, is_secret
from controlplane.errors import Invalid
from controlplane.models import Deployment
from controlplane.models.deployments import Backend, Flavour

_FLAG = re.compile(r"[a-z][a-z0-9-]{0,63}\Z", re.ASCII)
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?|[0-9a-f:.]{2,45}", re.ASCII)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}\Z", re.ASCII)

# Signalbox sets these itself; a second value would break routing, isolation or adoption.
OWN_FLAGS = frozenset({"model", "served-model-name", "host", "port", "uds", "api-key", "root-path", "middleware"})
LONGEST_KEY = 4_096
# Variables that would run somebody's code in the engine or lead it elsewhere.
FORBIDDEN_VARIABLES = frozenset({"PATH", "HOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "VLLM_API_KEY"})


def check_engine_options(deployment: Deployment) -> None:
    """Raise `Invalid`, naming the field, unless flavour, backend, URL and engine options fit together."""
    external = deployment.flavour == Flavour.EXTERNAL
    if external != (deployment.backend == Backend.EXTERNAL):
        raise Invalid(_("The flavour external and the backend external go together."), field="backend")
    if external:
        check_url(deployment.external_url)
        if deployment.replicas > 1:
            raise Invalid(_("An external engine is one replica: one URL."), field="replicas")
    elif deployment.external_url:
        raise Invalid(_("Only an external engine has a URL."), field="external_url")
    elif deployment.external_key:
        raise Invalid(_("Only an external engine has a key: those of ours have their own."), field="external_key")
    _check_tls(deployment)
    _check_args(deployment.engine_args)
    _check_env(deployment.engine_env)
    _check_pods(deployment)


def check_url(url: str) -> None:
    """Raise `Invalid` unless `url` is scheme, host and port of an engine; a short name such as ``engine`` is a host."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and _HOST.fullmatch(parts.hostname or "") and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not url.isprintable():  # urlsplit drops tabs and line breaks without a word
        raise Invalid(_("Give the engine's URL, such as http://10.0.0.5:8000."), field="external_url")
    if parts.username or parts.query or parts.fragment or parts.path.strip("/") not in {"", "v1"}:
        raise Invalid(_("Give scheme, host and port only; /v1 is added where needed."), field="external_url")


def check_external_key(key: str) -> None:
    """Raise `Invalid` unless it can stand in a header."""
    if len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise Invalid(
            _("A key is up to %(most)d visible ASCII characters.") % {"most": LONGEST_KEY}, field="external_key"
        )


def _check_tls(deployment: Deployment) -> None:
    if deployment.external_url.startswith("https:"):
        return
    field = "tls_ca" if deployment.tls_ca else "" if deployment.tls_verify else "tls_verify"
    if field:
        raise Invalid(_("Certificates matter to an external engine with an https URL only."), field=field)


def _check_pods(deployment: Deployment) -> None:
    """Options are of pods only; local weights need a volume that they lie on, and a CPU engine an image of its own."""
    if deployment.backend != Backend.KUBERNETES:
        if deployment.kubernetes:
            raise Invalid(_("Only the backend kubernetes has these options."), field="kubernetes")
        return
    deployment.kubernetes = kubernetes_options.checked(deployment.kubernetes)
    options = kubernetes_options.read(deployment.kubernetes)
    if deployment.flavour == Flavour.VLLM_CPU and not options.image:
        raise Invalid(
            _("A CPU engine in Kubernetes needs an image: name one that has vLLM for CPUs."), field="kubernetes"
        )
    source = deployment.version.source
    mount = options.model_volume.mount_path.rstrip("/") if options.model_volume else ""
    if source.startswith("/") and not (mount and f"{source}/".startswith(f"{mount}/")):
        raise Invalid(
            _("The version's weights lie in %(source)s: give a model_volume that is mounted there or above.")
            % {"source": source},
            field="kubernetes",
        )


def _check_args(args: object) -> None:
    if not isinstance(args, dict):
        raise Invalid(_('Engine arguments are an object such as {"max-model-len": 2048}.'), field="engine_args")
    for name, value in args.items():
        if not _FLAG.match(name):
            raise Invalid(
                _("%(name)s is not an engine flag: write it without dashes in front.") % {"name": name},
                field="engine_args",
            )
        if name in OWN_FLAGS:
            raise Invalid(_("Signalbox sets %(name)s itself.") % {"name": name}, field="engine_args")
        if is_secret(name):
            raise Invalid(
                _("Give %(name)s as an environment variable: everybody on the engine's machine can read its arguments.")
                % {"name": name},
                field="engine_args",
            )
        if not isinstance(value, bool | int | float | str | dict | list) or not _is_plain(value):
            raise Invalid(
                _("%(name)s must be text, a number, true, false, an object or a list.") % {"name": name},
                field="engine_args",
            )


def _check_env(variables: object) -> None:
    if not isinstance(variables, dict):
        raise Invalid(_("The engine environment is an object of texts."), field="engine_env")
    for name, value in variables.items():
        if not _VARIABLE.match(name) or name in FORBIDDEN_VARIABLES or name.startswith("LD_"):
            raise Invalid(_("The variable %(name)s cannot be set.") % {"name": name}, field="engine_env")
        if value == HIDDEN:
            raise Invalid(
                _("There is no value of %(name)s that could stay: give it.") % {"name": name}, field="engine_env"
            )
        if not isinstance(value, str) or not _is_plain(value):
            raise Invalid(_("The value of %(name)s must be text.") % {"name": name}, field="engine_env")


def _is_plain(value: object) -> bool:
    """False for what a command line or PostgreSQL's jsonb cannot hold: control characters, half characters, NaN."""
    if isinstance(value, str):
        return not any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) < 0xE000 for char in value)
    if isinstance(value, dict):
        return all(_is_plain(key) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)
