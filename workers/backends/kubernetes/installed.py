"""The backend as this installation is set up."""

from functools import cache

from workers.backends.kubernetes.api import Api
from workers.backends.kubernetes.backend import KubernetesBackend
from workers.backends.kubernetes.connection import connect
from workers.backends.kubernetes.rendering import place


@cache
def backend() -> KubernetesBackend:
    """One a process; it connects when it is first asked something."""
    here = place()
    return KubernetesBackend(Api(connect, here.namespace), here)
