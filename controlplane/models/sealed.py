"""The column of a sealed secret."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from controlplane.sealing import Sealed


class SealedField(models.TextField):
    """Holds a `Sealed`, empty by default. A plain text is refused, so that none is ever saved by mistake."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        ours: dict[str, Any] = {"blank": True, "default": Sealed(""), "editable": False}
        super().__init__(*args, **(ours | kwargs))

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        for known in ("blank", "default", "editable"):
            kwargs.pop(known, None)
        return name, path, args, kwargs

    def from_db_value(self, value: str | None, expression: Any, connection: BaseDatabaseWrapper) -> Sealed:
        del expression, connection
        return Sealed(value or "")

    def to_python(self, value: Any) -> Any:
        if not isinstance(value, Sealed):
            raise TypeError(f"{self.name} takes a sealed secret: see controlplane.sealing.seal")
        return value

    def get_prep_value(self, value: Any) -> Any:
        return self.to_python(value).envelope if value is not None else ""
