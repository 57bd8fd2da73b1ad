"""What the API does wrong, over real HTTP: each is a condition with a name, a time to try again, and no harm."""

import threading

import pytest

from tests.workers.backends.kubernetes.cluster import Cluster, failure
from tests.workers.backends.kubernetes.pods import pod_spec
from workers.backends.base import BackendError, Fence, Obstacle, Phase
from workers.backends.kubernetes import api
from workers.backends.kubernetes.backend import KubernetesBackend


def refusal(order) -> BackendError:
    with pytest.raises(BackendError) as caught:
        order()
    return caught.value


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (401, "Unauthorized", Obstacle.CREDENTIALS),
        (403, "signalbox cannot patch", Obstacle.FORBIDDEN),
        (403, "namespace engines because it is being terminated", Obstacle.NAMESPACE_MISSING),
        (404, 'namespaces "engines" not found', Obstacle.NAMESPACE_MISSING),
        (409, "the object has been modified", Obstacle.CONFLICT),
        (422, "Invalid value", Obstacle.REJECTED),
        (429, "slow down", Obstacle.THROTTLED),
        (500, "etcdserver: leader changed", Obstacle.UNAVAILABLE),
        (503, "", Obstacle.UNAVAILABLE),
    ],
)
def test_refused_write_is_named(
    status: int, message: str, reason: Obstacle, backend: KubernetesBackend, cluster: Cluster
) -> None:
    cluster.refuse = lambda it: failure(status, "X", message) if it.method.value == "PATCH" else None
    error = refusal(lambda: backend.apply(pod_spec()))
    assert error.reason is reason
    assert error.retry_after >= 1


def test_after_any_refusal_the_same_order_goes_through(backend: KubernetesBackend, cluster: Cluster) -> None:
    """Each write in turn is refused once: the next attempt goes on from there."""
    for turn in range(1, 9):
        cluster.objects.clear()
        cluster._applied.clear()
        count = iter(range(1, 100))
        cluster.refuse = lambda it: (
            failure(500, "X") if it.method.value == "PATCH" and next(count) == turn else None  # noqa: B023
        )
        for _ in range(2):
            try:
                backend.apply(pod_spec())
            except BackendError:
                continue
        (status,) = backend.observe()
        assert status.phase is Phase.RUNNING, turn
        backend.delete("web-0")


def test_waiting_time_of_the_server_is_kept(backend: KubernetesBackend, cluster: Cluster) -> None:
    cluster.refuse = lambda _: failure(429, "TooManyRequests", headers={"Retry-After": "7"})
    assert refusal(lambda: backend.apply(pod_spec())).retry_after == 7


def test_hanging_api_is_left_soon(backend: KubernetesBackend, cluster: Cluster, monkeypatch) -> None:
    monkeypatch.setattr(api, "READ_SECONDS", 0.2)
    cluster.refuse = lambda _: 1.0
    assert "does not answer" in str(refusal(backend.observe))


def test_failed_look_is_not_repeated_at_once(backend: KubernetesBackend, cluster: Cluster) -> None:
    now = [0.0]
    backend.clock = lambda: now[0]
    cluster.refuse = lambda _: failure(500, "X")
    refusal(backend.observe)
    cluster.refuse = lambda _: None
    refusal(backend.observe)
    now[0] = 5.0
    assert backend.observe() == []


def test_pauses_grow(backend: KubernetesBackend, cluster: Cluster) -> None:
    now = [0.0]
    backend.clock = lambda: now[0]
    cluster.refuse = lambda _: failure(401, "Unauthorized")
    pauses = []
    for _ in range(5):
        refusal(backend.observe)
        pauses.append(backend._rest.until - now[0])
        now[0] = backend._rest.until
    assert pauses == [2, 4, 8, 15, 15]


def test_list_that_expires_begins_anew(backend: KubernetesBackend, cluster: Cluster, monkeypatch) -> None:
    monkeypatch.setattr(api, "PAGE", 2)
    for number in range(3):
        backend.apply(pod_spec(name=f"web-{number}"))
    expired = iter([True])
    cluster.refuse = lambda it: failure(410, "Expired") if it.params.get("continue") and next(expired, False) else None
    assert len(backend.observe()) == 3


def test_list_that_always_expires_is_a_condition(backend: KubernetesBackend, cluster: Cluster) -> None:
    cluster.refuse = lambda _: failure(410, "Expired")
    assert "expire" in str(refusal(backend.observe))


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff\xfe"])
def test_what_is_no_kubernetes_api_is_said(body: bytes, backend: KubernetesBackend, cluster: Cluster) -> None:
    import aiohttp.web

    cluster.refuse = lambda _: aiohttp.web.Response(body=body)
    assert "no Kubernetes API" in str(refusal(backend.observe))


def test_api_that_is_away_is_said(backend: KubernetesBackend, cluster: Cluster) -> None:
    cluster.url_text = "http://127.0.0.1:1"
    assert refusal(backend.observe).reason is Obstacle.UNAVAILABLE


def test_renewed_credentials_are_read_after_a_refusal(cluster: Cluster, backend: KubernetesBackend) -> None:
    made = []

    def connect():
        made.append(1)
        return cluster.client()

    backend.api = api.Api(connect, "engines")
    backend.clock = iter(range(0, 10_000, 100)).__next__
    cluster.refuse = lambda _: failure(401, "Unauthorized")
    refusal(backend.observe)
    cluster.refuse = lambda _: None
    assert backend.observe() == []
    assert len(made) == 2


def test_missing_namespace_is_named(backend: KubernetesBackend, cluster: Cluster) -> None:
    cluster.namespace_exists = False
    error = refusal(lambda: backend.apply(pod_spec()))
    assert error.reason is Obstacle.NAMESPACE_MISSING
    assert "engines" in str(error)


def test_report_of_a_controller_is_no_conflict(backend: KubernetesBackend, cluster: Cluster) -> None:
    """It writes the status of the paused Deployment between our two writes."""
    seen = []

    def report(it):
        if it.method.value == "PATCH" and it.resource.plural == "services":
            seen.append(1)
            cluster.touch("deployments", "sb-web-0")

    cluster.refuse = report
    backend.apply(pod_spec())
    assert seen
    assert "paused" not in cluster.of("deployments")[0]["spec"]


def test_lower_epoch_writes_nothing(backend: KubernetesBackend, cluster: Cluster) -> None:
    backend.apply(pod_spec(), fence=Fence(7))
    cluster.writes.clear()
    late = KubernetesBackend(backend.api, backend.place)
    for order in (
        lambda: late.apply(pod_spec(served_name="other"), fence=Fence(6)),
        lambda: late.delete("web-0", fence=Fence(6)),
    ):
        assert refusal(order).reason is Obstacle.OUTRANKED
    assert cluster.writes == []


def test_lost_claim_stops_between_two_writes(backend: KubernetesBackend, cluster: Cluster) -> None:
    """After each number of checks: whatever has been done by then, no pod was started."""
    for allowed in range(7):
        cluster.objects.clear()
        cluster._applied.clear()
        checks = iter(range(100))

        def check(allowed: int = allowed, checks=checks) -> None:
            if next(checks) >= allowed:
                raise LookupError("the claim is gone")

        with pytest.raises(LookupError):
            backend.apply(pod_spec(), fence=Fence(3, check))
        assert cluster.of("pods") == []


def test_leader_that_slept_does_not_start_what_another_ended(backend: KubernetesBackend, cluster: Cluster) -> None:
    """It wakes up right before its last write, after the last look at its claim."""
    awake, asleep = threading.Event(), threading.Event()
    sleeper = KubernetesBackend(backend.api, backend.place)
    errors: list[BackendError] = []
    checks = iter(range(100))

    def check() -> None:
        if next(checks) == 6:  # before taking the pause away
            asleep.set()
            awake.wait(20)

    def sleep() -> None:
        try:
            sleeper.apply(pod_spec(), fence=Fence(3, check))
        except BackendError as exc:
            errors.append(exc)

    thread = threading.Thread(target=sleep)
    thread.start()
    assert asleep.wait(20)
    backend.delete("web-0", fence=Fence(4))
    awake.set()
    thread.join(20)
    assert [it.reason for it in errors] == [Obstacle.CONFLICT]
    assert cluster.of("deployments") == cluster.of("pods") == []


def test_leader_that_slept_does_not_end_what_another_started(backend: KubernetesBackend, cluster: Cluster) -> None:
    backend.apply(pod_spec(), fence=Fence(2))

    def meanwhile() -> None:
        """It was ended and started anew while we slept."""
        backend.delete("web-0", fence=Fence(4))
        backend.apply(pod_spec(), fence=Fence(5))

    late = KubernetesBackend(backend.api, backend.place)
    error = refusal(lambda: late.delete("web-0", fence=Fence(3, meanwhile)))
    assert error.reason is Obstacle.CONFLICT
    assert len(cluster.of("deployments")) == 1


def test_refused_renewal_is_not_repeated_at_once(backend: KubernetesBackend, cluster: Cluster) -> None:
    backend.apply(pod_spec())
    late = KubernetesBackend(backend.api, backend.place, chance=lambda: 0.0)
    late.observe()
    cluster.refuse = lambda it: failure(403, "Forbidden", "no") if it.method.value == "PATCH" else None
    assert refusal(lambda: late.apply(pod_spec())).reason is Obstacle.FORBIDDEN
    cluster.used.clear()
    late.apply(pod_spec())
    assert not cluster.used
