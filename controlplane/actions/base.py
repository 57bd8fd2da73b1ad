"""What every action needs: validation with our errors, the difference for the register, the target as text."""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext as _

from audit.record import Target
from controlplane.errors import Conflict, Invalid
from controlplane.models import Deployment, Project
from controlplane.signals import desired_changed


def validate(instance: models.Model) -> None:
    """Run the model's own validation. Raises `Conflict` for a taken name, `Invalid` (with the field) for the rest."""
    try:
        instance.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as exc:
        field, messages = next(iter(exc.message_dict.items()))
        raise Invalid(messages[0], field="" if field == "__all__" else field) from exc
    try:
        instance.validate_unique()
        instance.validate_constraints()
    except ValidationError as exc:
        raise Conflict(exc.messages[0], code=_clash(exc)) from exc


def _clash(exc: ValidationError) -> str:
    """The stable name of what a new row clashes with: a constraint's own, or that there is one already."""
    codes = [error.code for errors in exc.error_dict.values() for error in errors]
    return "look_alike" if "look_alike" in codes else "already_exists"


def require_reason(reason: str) -> None:
    """Raise `Invalid` when there is none: what ends something says why."""
    if not reason.strip():
        raise Invalid(_("Say why: the register keeps the reason."), field="reason", code="reason_required")


def target_of(instance: models.Model) -> Target:
    """The instance as the register names it."""
    return Target(type=str(instance._meta.model_name), id=str(instance.pk), name=str(instance))  # noqa: SLF001


def snapshot(instance: models.Model, fields: Iterable[str]) -> dict[str, Any]:
    """Plain values of the fields, for `difference`."""
    return {field: _plain(getattr(instance, field)) for field in fields}


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """field -> [before, after] for each field that changed."""
    return {field: [before.get(field), value] for field, value in after.items() if before.get(field) != value}


def ending(before: dict[str, Any]) -> dict[str, Any]:
    """field -> [before, None] for each field of what is deleted that said something."""
    return {field: [value, None] for field, value in before.items() if value not in (None, "", [], {})}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str | list | dict):
        return value
    return str(value)


def project_name(project: Project | None) -> str:
    return project.name if project else ""


def reconcile_on_commit(deployment: Deployment) -> None:
    """Tell the workers once the change is committed; a lost message costs seconds, the periodic pass finds it."""
    pk = deployment.pk
    transaction.on_commit(lambda: desired_changed.send_robust(sender=Deployment, deployment_id=pk))
