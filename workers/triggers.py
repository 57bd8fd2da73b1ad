"""From a committed change to a task: the one place where the control plane's signals become work."""

from typing import Any
from uuid import UUID

from django.dispatch import receiver

from controlplane.signals import desired_changed


@receiver(desired_changed, dispatch_uid="workers.reconcile")
def reconcile_soon(deployment_id: UUID, **_: Any) -> None:
    """Enqueue one reconcile. The receiver is called robustly: a broker that is away costs seconds, not the change."""
    from workers.tasks.reconcile import reconcile_deployment  # noqa: PLC0415 - Celery is not needed before

    reconcile_deployment.apply_async(args=(str(deployment_id),), retry=False)
