from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate
from django.utils import timezone


class MonitoringConfig(AppConfig):
    name = "monitoring"

    def ready(self) -> None:
        from controlplane import charts  # noqa: PLC0415 - models are there only now
        from monitoring.charts import draw  # noqa: PLC0415

        charts.register(draw)
        post_migrate.connect(_ensure_partitions, sender=self, dispatch_uid="monitoring.partitions")


def _ensure_partitions(using: str, **_kwargs: Any) -> None:
    """The signal comes too when only another app was migrated: then the tables may not be there yet."""
    from monitoring.partitions import ensure_partitions  # noqa: PLC0415 - the connection is not usable before

    if "monitoring_sample" in connections[using].introspection.table_names():
        ensure_partitions(timezone.now(), using)
