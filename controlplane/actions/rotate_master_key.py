from collections.abc import Iterator
from typing import NamedTuple

from django.apps import apps
from django.db import models, transaction

from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane.models.sealed import SealedField
from controlplane.permissions import Permission, require
from controlplane.sealing import FORM, Sealed, Unopenable, keyring, place_of

BATCH = 200


class Column(NamedTuple):
    """Where sealed secrets lie."""

    model: type[models.Model]
    name: str

    def __str__(self) -> str:
        return f"{self.model._meta.db_table}.{self.name}"  # noqa: SLF001 - Django's public way to it


class Rotated(NamedTuple):
    """How many secrets now need the current master key only, and which could not be opened."""

    rewrapped: int
    lost: list[str]


def rotate_master_key(*, actor: Actor) -> Rotated:
    """Wrap all data keys under the current master key. The secrets themselves stay as they are sealed.

    A batch is a transaction, and only what still needs the previous key is taken: broken off, it goes on where it was.
    """
    require(actor, Permission.MASTER_KEY_ROTATE)
    rewrapped, lost = 0, []
    for column in sealed_columns():
        done, unopenable = _rewrap_column(column)
        rewrapped += done
        lost += unopenable
    if rewrapped:
        record(
            Operation.MASTER_KEY_ROTATED, actor=actor, kind="security",
            target=Target(type="master_key", id=keyring().current_id, name="master key"),
            detail={"rewrapped": rewrapped, "lost": len(lost)},
        )  # fmt: skip
    return Rotated(rewrapped, lost)


def sealed_columns() -> list[Column]:
    """Every column of a sealed secret, whichever app it belongs to."""
    return [
        Column(model, field.name)
        for model in apps.get_models()
        for field in model._meta.concrete_fields  # noqa: SLF001
        if isinstance(field, SealedField)
    ]


def waiting(column: Column) -> models.QuerySet[models.Model]:
    """The rows whose secret was sealed under another master key than the current one."""
    sealed = column.model._default_manager.exclude(**{column.name: Sealed("")})  # noqa: SLF001
    return sealed.exclude(**{f"{column.name}__startswith": f"{FORM}.{keyring().current_id}."})


def _rewrap_column(column: Column) -> tuple[int, list[str]]:
    done, lost = 0, []
    for keys in _batches(column):
        with transaction.atomic():
            for row in waiting(column).select_for_update(of=("self",)).filter(pk__in=keys):
                if _rewrap(row, column.name):
                    done += 1
                else:
                    lost.append(f"{column}/{row.pk}")
    return done, lost


def _rewrap(row: models.Model, name: str) -> bool:
    try:
        envelope = keyring().rewrap(getattr(row, name).envelope, place_of(row, name))
    except Unopenable:
        return False
    type(row)._default_manager.filter(pk=row.pk).update(**{name: Sealed(envelope)})  # noqa: SLF001 - its time stays
    return True


def _batches(column: Column) -> Iterator[list[object]]:
    keys = list(waiting(column).order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), BATCH):
        yield keys[start : start + BATCH]
