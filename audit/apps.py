from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = _("Audit")

    def ready(self) -> None:
        post_migrate.connect(_ensure_partitions, sender=self, dispatch_uid="audit.partitions")


def _ensure_partitions(using: str, **_kwargs: Any) -> None:
    from audit import body_partitions  # noqa: PLC0415 - the connection is not usable before
    from audit.partitions import ensure_partitions  # noqa: PLC0415

    ensure_partitions(timezone.now(), using)
    body_partitions.ensure(timezone.now(), using)
