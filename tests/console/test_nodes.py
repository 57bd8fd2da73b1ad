"""The page of machines."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from controlplane.models import User
from controlplane.roles import Role
from tests import factories
from tests.console.conftest import browser_of
from tests.console.pages import text, url

pytestmark = pytest.mark.django_db
GPU = {"name": "NVIDIA H100", "memory_bytes": 80 * 2**30, "memory_used_bytes": 2**30, "utilisation": 98}


def test_list_shows_what_is_free(vera_console: Client) -> None:
    factories.NodeFactory(name="big", load=1.5, gpus=[GPU])
    factories.NodeFactory(name="old", last_seen_at=timezone.now() - timedelta(hours=1))
    page = text(vera_console.get(url("controlplane_node_changelist")))
    assert "1.5 / 8" in page
    assert "48.0\xa0GB / 64.0\xa0GB" in page
    assert 'data-state="ready"' in page
    assert 'data-state="unhealthy"' in page


def test_silent_ones_can_be_asked_for(vera_console: Client) -> None:
    factories.NodeFactory(name="lively")
    factories.NodeFactory(name="old", last_seen_at=timezone.now() - timedelta(hours=1))
    page = text(vera_console.get(url("controlplane_node_changelist"), {"state": "silent"}))
    assert "old" in page
    assert "lively" not in page


def test_one_shows_gpus_and_leads_to_its_replicas(vera_console: Client) -> None:
    replica = factories.ReplicaFactory(deployment__name="blue", ordinal=0)
    node = factories.NodeFactory(gpus=[GPU, {"name": "odd"}], replicas=[replica.name, "of-nobody-0"])
    page = text(vera_console.get(url("controlplane_node_change", node.pk)))
    assert "NVIDIA H100: 1.0\xa0GB / 80.0\xa0GB, 98 %" in page
    assert "odd: –" in page
    assert url("controlplane_deployment_change", replica.deployment_id) in page
    assert "of-nobody-0" not in page


def test_role_on_a_project_opens_no_page() -> None:
    user: User = factories.UserFactory(username="pia", is_staff=True)
    factories.BindingFactory(user=user, role=Role.OWNER, project=factories.ProjectFactory())
    assert browser_of(user).get(url("controlplane_node_changelist")).status_code == 403
    assert url("controlplane_node_changelist") not in text(browser_of(user).get(url("index")))
