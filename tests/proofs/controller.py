"""A controller as a process of its own, to be killed and stopped: ``python -m tests.proofs.controller URL NAME LEASE``.

It looks after all deployments in the cluster at that URL for as long as it lives. Its engines are always well.
"""

import sys
import time
from collections.abc import Iterable


def main(url: str, name: str, lease: str) -> None:
    import django

    django.setup()
    from kubernetes.client import ApiClient, Configuration

    from controlplane.models import Deployment
    from tests.workers.backends.kubernetes.pods import PLACE
    from workers import plan, reconciler
    from workers.backends.kubernetes.api import Api
    from workers.backends.kubernetes.backend import KubernetesBackend
    from workers.probe import Target
    from workers.verdict import Health

    class Well:
        def ask(self, targets: Iterable[Target], patience: float) -> dict[str, Health]:
            return {target.name: Health(ok=True) for target in targets}

    def connect() -> ApiClient:
        configuration = Configuration()
        configuration.host, configuration.retries = url, False
        client = ApiClient(configuration)
        client.user_agent = name
        return client

    reconciler.LEASE_SECONDS = int(lease)
    plan.LEAVE_SECONDS = 0.0
    backend = KubernetesBackend(Api(connect, PLACE.namespace), PLACE)
    worker = reconciler.Reconciler(lambda _: backend, Well())  # type: ignore[arg-type]
    print("ready", flush=True)
    while True:
        worker.run(Deployment.objects.all())
        time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
