"""Reconciling: one deployment soon after a change, all of them every few seconds."""

from functools import cache
from uuid import UUID

from celery import shared_task

from controlplane.models import Deployment
from workers import fleet
from workers.probe import Prober
from workers.reconciler import Reconciler


@cache
def reconciler() -> Reconciler:
    """This process's reconciler. Made after the fork: threads and connections do not survive one."""
    return Reconciler(fleet.backend, Prober())


@shared_task
def reconcile_deployment(deployment_id: str) -> None:
    """Look after one deployment now."""
    reconciler().run(Deployment.objects.filter(pk=UUID(deployment_id)))


@shared_task
def reconcile_all() -> None:
    """Look after every deployment."""
    reconciler().run(Deployment.objects.all())
