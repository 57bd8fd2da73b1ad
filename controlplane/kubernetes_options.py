"""What a deployment may say about its pods: the options of the backend ``kubernetes``, checked and kept in one form.

Names are Signalbox's, but what stands within `node_selector` and `tolerations` is as Kubernetes writes it.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NoReturn

import msgspec
from django.utils.translation import gettext as _

from controlplane.errors import Invalid
from controlplane.text import unusable_character

FIELD = "kubernetes"
MOST_ENTRIES = 50
LONGEST_IMAGE = 512
LONGEST_PATH = 1024
LONGEST_START = 86_400

# https://pkg.go.dev/github.com/distribution/reference: a host, a path, a tag and a digest
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]{{1,5}})?/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and …/labels/
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
_QUANTITY = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?", re.ASCII)

OPERATORS = ("Equal", "Exists")
EFFECTS = ("", "NoSchedule", "PreferNoSchedule", "NoExecute")


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown names are refused."""


class Toleration(_Strict, frozen=True):
    """As in a pod's specification."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    tolerationSeconds: int | None = None  # noqa: N815 - as Kubernetes writes it


class ModelVolume(_Strict, frozen=True):
    """Where local weights lie: a PersistentVolumeClaim or a directory of the node, mounted read-only."""

    claim: str = ""
    host_path: str = ""
    mount_path: str = "/models"


class Options(_Strict, frozen=True):
    """All options with their defaults."""

    image: str = ""
    """empty: the installation's"""
    image_pull_secrets: tuple[str, ...] = ()
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    model_volume: ModelVolume | None = None
    cpu: str = ""
    memory: str = ""
    shared_memory: str = "16Gi"
    """size limit of /dev/shm, which counts as the container's memory"""
    gpu_resource: str = "nvidia.com/gpu"
    run_as_user: int = 2000
    """0: as root, for an image that needs it"""
    startup_seconds: int = 1800
    """how long loading the model may take before the container is started anew"""
    surge: bool = False
    """True: a new pod is started beside the old one, which takes as many GPUs again; False: in its place"""


def read(options: object) -> Options:
    """What `stored` gave. Raises `msgspec.ValidationError` for anything else."""
    return msgspec.convert(options, Options)


def stored(options: Options) -> dict[str, Any]:
    """Those that are not as by default, as JSON."""
    return _without_defaults(options)


def _without_defaults(part: _Strict) -> dict[str, Any]:
    defaults = type(part)()
    given = ((name, getattr(part, name)) for name in part.__struct_fields__)
    return {name: _plain(value) for name, value in given if value != getattr(defaults, name)}


def _plain(value: object) -> object:
    if isinstance(value, _Strict):
        return _without_defaults(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def checked(options: object) -> dict[str, Any]:
    """The options as they are kept, quantities in canonical form. Raises `Invalid` that names the one that is wrong."""
    try:
        found = read(options)
    except (msgspec.ValidationError, UnicodeEncodeError) as exc:  # the latter: half a character
        why = str(exc).encode("ascii", "backslashreplace").decode()[:300]
        raise Invalid(_("These options cannot be used: %(why)s.") % {"why": why}, field=FIELD) from exc
    _check_image(found.image)
    _check_names("image_pull_secrets", found.image_pull_secrets)
    _check_node_selector(found.node_selector)
    _check_tolerations(found.tolerations)
    _check_label_key("gpu_resource", found.gpu_resource)
    _check_range("run_as_user", found.run_as_user, 0, 2_147_483_647)
    _check_range("startup_seconds", found.startup_seconds, 60, LONGEST_START)
    if found.model_volume:
        _check_volume(found.model_volume)
    sizes = {name: canonical(name, getattr(found, name)) for name in ("cpu", "memory", "shared_memory")}
    return stored(msgspec.structs.replace(found, **sizes))


def canonical(name: str, quantity: str) -> str:
    """The quantity as a Kubernetes API server writes it: ``1024Mi`` becomes ``1Gi``. Raises `Invalid`."""
    if not quantity and name != "shared_memory":
        return ""
    match = _QUANTITY.fullmatch(quantity)
    if not match or not (number := Decimal(match[1])):
        _refuse(name, _("expected a quantity such as 16Gi or 500m"))
    suffix = match[2] or ""
    if suffix.endswith("i"):
        return _in_units(name, number * 1024 ** _BINARY.index(suffix), 1024, _BINARY)
    return _in_units(name, number * 1000 ** _DECIMAL.index(suffix), 1000, _DECIMAL)


_DECIMAL = ("m", "", "k", "M", "G", "T", "P")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi")


def _in_units(name: str, amount: Decimal, step: int, units: tuple[str, ...]) -> str:
    """A whole number of the largest unit that allows it; `amount` is in the smallest."""
    if amount != (whole := int(amount)) or whole >= 2**63:
        _refuse(name, _("it is finer or larger than Kubernetes counts"))
    unit = 0
    while unit + 1 < len(units) and whole % step == 0:
        whole, unit = whole // step, unit + 1
    return f"{whole}{units[unit]}"


def _check_image(image: str) -> None:
    if character := unusable_character(image):
        _refuse("image", _("the character %(character)s is not allowed") % {"character": character})
    if image and (len(image) > LONGEST_IMAGE or not _IMAGE.fullmatch(image)):
        _refuse("image", _("expected a reference such as vllm/vllm-openai:v0.32.0"))


def _check_names(name: str, values: Iterable[str]) -> None:
    values = tuple(values)
    _check_number(name, len(values))
    for value in values:
        if len(value) > 253 or not _SUBDOMAIN.fullmatch(value):
            _refuse(name, _("%(value)s is no name of an object") % {"value": _short(value)})


def _check_node_selector(labels: Mapping[str, str]) -> None:
    _check_number("node_selector", len(labels))
    for key, value in labels.items():
        _check_label_key("node_selector", key)
        _check_label_value("node_selector", value)


def _check_tolerations(tolerations: tuple[Toleration, ...]) -> None:
    _check_number("tolerations", len(tolerations))
    for one in tolerations:
        if one.key:
            _check_label_key("tolerations", one.key)
        _check_label_value("tolerations", one.value)
        if one.operator not in OPERATORS or one.effect not in EFFECTS:
            _refuse("tolerations", _("the operator is Equal or Exists, the effect NoSchedule or one like it"))
        if (one.operator == "Exists" and one.value) or (one.operator == "Equal" and not one.key):
            _refuse("tolerations", _("Exists goes without a value, Equal with a key"))
        if one.tolerationSeconds is not None:
            if one.effect != "NoExecute":
                _refuse("tolerations", _("tolerationSeconds goes with NoExecute only"))
            _check_range("tolerations", one.tolerationSeconds, 0, 2_147_483_647)


def _check_volume(volume: ModelVolume) -> None:
    if bool(volume.claim) == bool(volume.host_path):
        _refuse("model_volume", _("give either a claim or a host_path"))
    if volume.claim:
        _check_names("model_volume", [volume.claim])
    for path in filter(None, (volume.host_path, volume.mount_path)):
        parts = path.split("/")
        plain = path.startswith("/") and len(path) <= LONGEST_PATH and ".." not in parts and ":" not in path
        if not plain or unusable_character(path):
            _refuse("model_volume", _("%(value)s is no absolute path") % {"value": _short(path)})
    if volume.mount_path.strip("/") == "":
        _refuse("model_volume", _("%(value)s is no absolute path") % {"value": _short(volume.mount_path)})


def _check_label_key(name: str, key: str) -> None:
    prefix, slash, last = key.rpartition("/")
    fits = len(prefix) <= 253 and (_SUBDOMAIN.fullmatch(prefix) if slash else not prefix)
    if not fits or not _LABEL.fullmatch(last):
        _refuse(name, _("%(value)s is no name of a label or resource") % {"value": _short(key)})


def _check_label_value(name: str, value: str) -> None:
    if value and not _LABEL.fullmatch(value):
        _refuse(name, _("%(value)s cannot be a label's value") % {"value": _short(value)})


def _check_number(name: str, number: int) -> None:
    if number > MOST_ENTRIES:
        _refuse(name, _("at most %(most)s are allowed") % {"most": MOST_ENTRIES})


def _check_range(name: str, number: int, least: int, most: int) -> None:
    if not least <= number <= most:
        _refuse(name, _("it lies between %(least)s and %(most)s") % {"least": least, "most": most})


def _short(text: str) -> str:
    return repr(text[:60])


def _refuse(name: str, why: str) -> NoReturn:
    raise Invalid(_("%(name)s: %(why)s.") % {"name": name, "why": why}, field=FIELD)
