"""The processes of this installation, each asked as its clients ask it."""

from datetime import timedelta

import httpx
from celery import Celery
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Max
from django.utils import timezone

from controlplane.doctor.findings import Finding, fail, first_line, ok, warn
from controlplane.models import Deployment

SECONDS = 3.0
LONGEST_PASS = timedelta(seconds=60)


def gateway() -> Finding:
    return _ask("gateway", settings.GATEWAY_URL)


def console() -> Finding:
    return _ask("console", settings.CONSOLE_URL)


def _ask(name: str, url: str) -> Finding:
    """Is it up, and does it say that it can serve?"""
    try:
        with httpx.Client(timeout=SECONDS, trust_env=False) as client:
            up = client.get(f"{url}/healthz").status_code
            ready = client.get(f"{url}/readyz")
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        return fail(name, f"{url} does not answer ({first_line(exc)})", "start it (make up), and see its log")
    if up != httpx.codes.OK:
        return fail(name, f"{url}/healthz answers {up}", "something else may listen there: compare the ports")
    if ready.status_code != httpx.codes.OK:
        return fail(name, f"is up but not ready: {ready.text[:200].strip()}", "mend what it names")
    return ok(name, f"{url} is ready")


def worker() -> Finding:
    try:
        with Celery("doctor", broker=settings.CELERY_BROKER_URL, set_as_current=False) as app:
            app.conf.update(accept_content=["json"], broker_connection_timeout=SECONDS)
            answers = app.control.ping(timeout=SECONDS) or []
    except Exception as exc:  # noqa: BLE001 - kombu lets each transport's own errors through
        return fail("worker", f"cannot be asked ({first_line(exc)})", "needs Redis")
    names = sorted(name for answer in answers for name in answer)
    if not names:
        return fail("worker", "none answers", "start it (make up), and see its log: nothing is deployed meanwhile")
    return ok("worker", f"{', '.join(names)} answers")


def schedule() -> Finding:
    """Beat orders a pass of the reconciler every few seconds, and each pass leaves its time behind."""
    try:
        latest = Deployment.objects.aggregate(at=Max("status__observed_at"))["at"]
        ordered = Deployment.objects.exists()
    except DatabaseError:
        return fail("schedule", "unknown", "needs PostgreSQL")
    if not ordered:
        return ok("schedule", "nothing is deployed, so nothing tells")
    if latest is None:
        return fail("schedule", "no deployment was ever looked at", "see the logs of beat and worker")
    age = timezone.now() - latest
    if age > LONGEST_PASS:
        what = f"the last look at a deployment was {age.total_seconds():.0f} s ago"
        return fail("schedule", what, "see the logs of beat and worker")
    return ok("schedule", "deployments are looked at")


def replicas() -> list[Finding]:
    """One line for each deployment that does not run as ordered, with what its replicas say."""
    try:
        ordered = Deployment.objects.filter(deleted_at=None)
        deployments = list(ordered.select_related("status").prefetch_related("replica_set"))
    except DatabaseError:
        return [fail("deployments", "unknown", "needs PostgreSQL")]
    findings = [finding for deployment in deployments if (finding := _deployment(deployment))]
    return findings or [ok("deployments", f"all {len(deployments)} run as ordered")]


def _deployment(deployment: Deployment) -> Finding | None:
    status = getattr(deployment, "status", None)
    ready = status.ready_replicas if status else 0
    if ready >= deployment.replicas:
        return None
    said = [f"{replica.name} {replica.state} ({replica.message or replica.reason or 'no message'})"
            for replica in deployment.replica_set.all() if replica.state != "ready"]  # fmt: skip
    what = f"{ready} of {deployment.replicas} replicas ready"
    tell = fail if ready == 0 else warn
    message = f"{what}: {'; '.join(said)}" if said else what
    return tell(f"deployment {deployment.name}", " ".join(message.split())[:400], "see its replicas' history and logs")
