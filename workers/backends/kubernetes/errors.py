"""What a cluster refuses, in our words. Nothing of the client's is seen above this package.

ApiError         one refused request, as the API server says it
"""

from http import HTTPStatus

from workers.backends.base import BackendError, Obstacle

THROTTLED_SECONDS = 5.0


class ApiError(Exception):
    """An answer of 4xx or 5xx. `reason` is Kubernetes' own word, such as ``AlreadyExists``."""

    def __init__(
        self, status: int, *, reason: str = "", message: str = "", kind: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message or f"{status} {reason}".strip())
        self.status, self.reason, self.kind, self.retry_after = status, reason, kind, retry_after


def translated(error: ApiError, namespace: str) -> BackendError:
    """The same as a condition that people understand and a time to try again."""
    words = str(error)[:500]
    if (what := _namespace_trouble(error, namespace)) is not None:
        return BackendError(
            f"The namespace {namespace} {what}: create it, or name another one in SIGNALBOX_KUBERNETES_NAMESPACE.",
            reason=Obstacle.NAMESPACE_MISSING, retry_after=15.0,
        )  # fmt: skip
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = THROTTLED_SECONDS if error.retry_after is None else min(max(error.retry_after, 1.0), 60.0)
        return BackendError(
            "The cluster has too many requests at the moment (429).", reason=Obstacle.THROTTLED, retry_after=wait
        )
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return BackendError(f"The cluster does not work ({error.status}): {words}", retry_after=5.0)
    text, reason, retry_after = _KNOWN.get(error.status, _REFUSED)
    return BackendError(text.format(words=words), reason=reason, retry_after=retry_after)


_REFUSED = ("The cluster refuses it: {words}", Obstacle.REJECTED, 30.0)
_KNOWN: dict[int, tuple[str, Obstacle, float]] = {
    HTTPStatus.UNAUTHORIZED: (
        "The cluster does not accept our credentials (401): renew the kubeconfig; it is read anew by itself.",
        Obstacle.CREDENTIALS, 15.0,
    ),
    HTTPStatus.FORBIDDEN: (
        "The cluster forbids it: {words}. deploy/kubernetes/rbac.yaml holds the rights that are needed.",
        Obstacle.FORBIDDEN, 30.0,
    ),
    HTTPStatus.CONFLICT: ("Somebody else changed it meanwhile: {words}", Obstacle.CONFLICT, 1.0),
}  # fmt: skip


def _namespace_trouble(error: ApiError, namespace: str) -> str | None:
    words = str(error)
    if error.status == HTTPStatus.FORBIDDEN and "being terminated" in words:
        return "is being deleted"
    missing = error.kind == "namespaces" or f'namespaces "{namespace}"' in words
    return "does not exist" if error.status == HTTPStatus.NOT_FOUND and missing else None
