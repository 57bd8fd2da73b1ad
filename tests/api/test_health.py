"""The four paths that machines ask."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from tests.factories import AlertFactory, ApiKeyFactory, ReplicaFactory


@pytest.fixture
def client() -> Client:
    return Client()


def test_healthz_asks_nobody(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.django_db
def test_readyz_asks_both(client: Client) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()["checks"]) == (200, {"postgresql": "ok", "redis": "ok"})


@pytest.mark.django_db
def test_readyz_names_redis(client: Client) -> None:
    with patch("controlplane.health.redis_client", return_value=Redis(port=9, socket_connect_timeout=0.1)):
        response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"] == {"postgresql": "ok", "redis": "does not answer"}


@pytest.mark.django_db
def test_readyz_names_postgresql(client: Client) -> None:
    with patch("controlplane.health.connection.cursor", side_effect=OperationalError("secret host")):
        response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"] == {"postgresql": "does not answer", "redis": "ok"}


def test_version(client: Client) -> None:
    body = client.get("/version").json()
    assert body["name"] == "signalbox"
    assert body["version"][0].isdigit()


@pytest.mark.django_db
def test_metrics_count_replicas_in_few_queries(
    client: Client, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    ReplicaFactory()
    ReplicaFactory(state="crash_loop")
    with django_assert_max_num_queries(20):
        text = client.get("/metrics").content.decode()
    family = next(family for family in text_string_to_metric_families(text) if family.name == "signalbox_replicas")
    counts = {sample.labels["state"]: sample.value for sample in family.samples}
    assert (counts["ready"], counts["crash_loop"], counts["starting"]) == (1, 1, 0)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/version", "/metrics", "/api/v1/openapi.json"])
def test_only_for_reading(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


@pytest.mark.django_db
def test_metrics_count_open_alerts_by_state_and_severity(client: Client) -> None:
    AlertFactory(severity="critical")
    text = client.get("/metrics").content.decode()
    assert 'signalbox_alerts{severity="critical",state="firing"} 1.0' in text
    assert 'signalbox_alerts{severity="info",state="nodata"} 0.0' in text


@pytest.mark.django_db
def test_metrics_tell_the_nearest_end_of_a_key(client: Client) -> None:
    ApiKeyFactory(expires_at=timezone.now() + timedelta(days=3))
    assert "signalbox_api_key_days_left 2.9" in client.get("/metrics").content.decode()
