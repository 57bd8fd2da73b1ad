"""From the settings to a client of the cluster, with whatever way of signing in the kubeconfig knows."""

from pathlib import Path

import yaml
from django.conf import settings
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import SERVICE_TOKEN_FILENAME

from workers.backends.base import BackendError, Obstacle

_USUAL = "~/.kube/config"


def connect() -> ApiClient:
    """A client; it does not ask the cluster anything yet. Raises `BackendError` when the kubeconfig cannot be used."""
    configuration = Configuration()
    # A refused request is not repeated behind our back: the next pass tries again, with what is true then.
    configuration.retries = False
    configuration.connection_pool_maxsize = 8
    try:
        _load(configuration)
    except (ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as exc:
        words = (str(exc).splitlines() or [type(exc).__name__])[0][:300]
        raise BackendError(
            f"There is no usable way into the cluster: {words} Give a kubeconfig in KUBECONFIG.",
            reason=Obstacle.CREDENTIALS, retry_after=15.0,
        ) from exc  # fmt: skip
    return ApiClient(configuration)


def _load(configuration: Configuration) -> None:
    if not settings.KUBECONFIG and Path(SERVICE_TOKEN_FILENAME).exists():
        config.load_incluster_config(client_configuration=configuration)
        return
    config.load_kube_config(
        config_file=settings.KUBECONFIG or str(Path(_USUAL).expanduser()), context=settings.KUBERNETES_CONTEXT or None,
        client_configuration=configuration, persist_config=False,
    )  # fmt: skip
