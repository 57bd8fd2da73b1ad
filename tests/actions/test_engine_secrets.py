"""What engines are given in confidence is sealed in the database, used where it is needed, and shown to nobody."""

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from redis import Redis

from audit.models import Event
from audit.record import Actor
from controlplane import gateway_tables, publish
from controlplane.actions.change_deployment import change_deployment
from controlplane.actions.create_deployment import create_deployment
from controlplane.engine_secrets import HIDDEN, is_secret, kept, shown, shown_variables
from controlplane.errors import Invalid
from controlplane.models import Deployment
from controlplane.models.deployments import Backend, Flavour
from controlplane.sealing import Unopenable
from inference.contract import tables
from inference.contract.engine_keys import EngineKeys
from tests import factories
from workers.preview import preview
from workers.specs import specs_of

pytestmark = pytest.mark.django_db
KEY, TOKEN = "sk-planted-upstream-key", "hf_planted_token"
EXTERNAL = {"backend": Backend.EXTERNAL, "flavour": Flavour.EXTERNAL, "external_url": "http://10.0.0.5:8000"}


@pytest.fixture
def upstream(alice: Actor) -> Deployment:
    return create_deployment(name="up", version=factories.VersionFactory(), external_key=KEY, actor=alice, **EXTERNAL)


@pytest.fixture
def local(alice: Actor) -> Deployment:
    variables = {"HF_TOKEN": TOKEN, "OMP_NUM_THREADS": "4"}
    return create_deployment(name="own", version=factories.VersionFactory(), engine_env=variables, actor=alice)


def stored() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(it)::text FROM controlplane_deployment it")
        return str(cursor.fetchall())


def test_nothing_lies_open_in_the_database(upstream: Deployment, local: Deployment) -> None:
    assert KEY not in stored()
    assert TOKEN not in stored()
    assert "OMP_NUM_THREADS" not in stored()
    assert stored().count("sealed1.") == 2


def test_engines_are_told(upstream: Deployment, local: Deployment) -> None:
    upstream, local = Deployment.objects.get(pk=upstream.pk), Deployment.objects.get(pk=local.pk)
    assert specs_of(upstream)[0].engine_key == KEY
    assert specs_of(local)[0].engine_env == {"HF_TOKEN": TOKEN, "OMP_NUM_THREADS": "4"}


def test_gateway_is_told_under_seal(upstream: Deployment, redis: Redis, settings: Any) -> None:
    replica = factories.ReplicaFactory(deployment=upstream, name="up-0")
    factories.TargetFactory(route__name="chat", deployment=upstream)
    publish.publish_routes()
    payload: Any = redis.get(tables.ROUTES)
    assert KEY.encode() not in payload
    opened = EngineKeys(settings.SECRET_KEY).opened(tables.decode_routes(payload), pytest.fail)
    assert opened.routes[0].targets[0].replicas[0].key == KEY
    assert replica.name == "up-0"


def test_another_key_replaces_no_replica(upstream: Deployment, alice: Actor, events: Callable[[], list[Event]]) -> None:
    before = specs_of(upstream)[0].spec_hash
    changed = change_deployment(upstream, external_key="sk-another", actor=alice)
    assert specs_of(changed)[0].engine_key == "sk-another"
    assert specs_of(changed)[0].spec_hash == before
    assert events()[-1].changes == {"external_key": [HIDDEN, "••• (another one)"]}


def test_same_key_again_changes_nothing(upstream: Deployment, alice: Actor, events: Callable[[], list[Event]]) -> None:
    count = len(events())
    change_deployment(upstream, external_key=KEY, actor=alice)
    assert len(events()) == count


def test_key_can_be_taken_away(upstream: Deployment, alice: Actor) -> None:
    assert specs_of(change_deployment(upstream, external_key="", actor=alice))[0].engine_key == ""


def test_sealed_key_does_not_open_in_another_row(upstream: Deployment, alice: Actor) -> None:
    other = create_deployment(name="other", version=factories.VersionFactory(), actor=alice, **EXTERNAL)
    Deployment.objects.filter(pk=other.pk).update(external_key=upstream.external_key)
    with pytest.raises(Unopenable):
        specs_of(Deployment.objects.get(pk=other.pk))


@pytest.mark.parametrize("key", ["with space", "ключ", "x" * 5000, "line\nbreak"])
def test_key_that_fits_no_header_is_refused(alice: Actor, key: str) -> None:
    with pytest.raises(Invalid) as refused:
        create_deployment(name="up", version=factories.VersionFactory(), external_key=key, actor=alice, **EXTERNAL)
    assert refused.value.field == "external_key"


def test_engine_of_ours_takes_no_key(alice: Actor) -> None:
    with pytest.raises(Invalid, match="external"):
        create_deployment(name="own", version=factories.VersionFactory(), external_key=KEY, actor=alice)


def test_secret_is_no_argument(alice: Actor) -> None:
    with pytest.raises(Invalid, match="environment variable"):
        create_deployment(name="own", version=factories.VersionFactory(), engine_args={"hf-token": TOKEN}, actor=alice)


# -- what is shown


def test_answers_hide_secrets_and_show_the_rest(local: Deployment, upstream: Deployment, alice_api: Any) -> None:
    answer = alice_api.get(f"/deployments/{local.pk}")
    assert answer.json()["engine_env"] == {"HF_TOKEN": HIDDEN, "OMP_NUM_THREADS": "4"}
    assert alice_api.get(f"/deployments/{upstream.pk}").json()["external_key_set"] is True
    assert KEY.encode() not in alice_api.get("/deployments").content


def test_hidden_value_sent_back_stays(local: Deployment, alice_api: Any) -> None:
    shown_env = alice_api.get(f"/deployments/{local.pk}").json()["engine_env"] | {"OMP_NUM_THREADS": "8"}
    assert alice_api.patch(f"/deployments/{local.pk}", {"engine_env": shown_env}).status_code == 200
    assert Deployment.objects.get(pk=local.pk).engine_env == {"HF_TOKEN": TOKEN, "OMP_NUM_THREADS": "8"}


def test_hidden_value_of_nothing_is_refused(local: Deployment, alice_api: Any) -> None:
    answer = alice_api.patch(f"/deployments/{local.pk}", {"engine_env": {"NEW_TOKEN": HIDDEN}})
    assert answer.json()["errors"][0]["field"] == "engine_env"


def test_pages_show_no_secret(local: Deployment, upstream: Deployment, alice_console: Browser) -> None:
    for deployment in (local, upstream):
        for path in ("", "change/"):
            page = alice_console.get(f"/console/controlplane/deployment/{deployment.pk}/{path}").content.decode()
            assert KEY not in page
            assert TOKEN not in page
    assert "OMP_NUM_THREADS" in alice_console.get(f"/console/controlplane/deployment/{local.pk}/").content.decode()


def test_change_form_leaves_the_key_alone(upstream: Deployment, alice_console: Browser) -> None:
    sent = {
        "version": upstream.version_id, "external_url": upstream.external_url, "external_key": "", "engine_args": "{}",
        "engine_env": "{}", "served_name": "m", "drain_seconds": 9,
    }  # fmt: skip
    assert alice_console.post(f"/console/controlplane/deployment/{upstream.pk}/change/", sent).status_code == 302
    deployment = Deployment.objects.get(pk=upstream.pk)
    assert (deployment.drain_seconds, specs_of(deployment)[0].engine_key) == (9, KEY)
    alice_console.post(f"/console/controlplane/deployment/{upstream.pk}/change/", sent | {"without_key": "on"})
    assert not Deployment.objects.get(pk=upstream.pk).external_key


def test_plan_shows_no_secret(local: Deployment) -> None:
    assert TOKEN not in json.dumps(preview(local).manifests)


# -- without the master key


def test_lost_master_key_leaves_engines_alone_and_answers(
    local: Deployment, settings: Any, alice_api: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MASTER_KEY = secrets.token_bytes(32)
    with pytest.raises(Unopenable):
        specs_of(Deployment.objects.get(pk=local.pk))
    assert alice_api.get(f"/deployments/{local.pk}").json()["engine_env"] == {}


def test_replica_without_its_key_is_not_published(upstream: Deployment, settings: Any) -> None:
    factories.ReplicaFactory(deployment=upstream, name="up-0")
    factories.TargetFactory(route__name="chat", deployment=upstream)
    settings.MASTER_KEY = secrets.token_bytes(32)
    assert gateway_tables.route_table().routes[0].targets[0].replicas == ()


# -- what counts as a secret


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [("HF_TOKEN", "x", True), ("AWS_SECRET_ACCESS_KEY", "x", True), ("DB_PASSWD", "x", True), ("PGPASSWORD", "x", True),
     ("HTTPS_PROXY", "http://user:pass@proxy:1", True), ("HTTPS_PROXY", "http://proxy:1", False),
     ("ANYTHING", "hf_abcdef", True), ("ANYTHING", "sk-abcdef", True), ("OMP_NUM_THREADS", "4", False),
     ("max-num-batched-tokens", 1, False), ("tokenizer", "t", False)],
)  # fmt: skip
def test_secrets_are_recognised(name: str, value: object, secret: bool) -> None:
    assert is_secret(name, value) is secret


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [("OMP_NUM_THREADS", "4", True), ("VLLM_LOGGING_LEVEL", "DEBUG", True), ("HF_ENDPOINT", "https://a.b", True),
     ("HF_TOKEN", "x", False), ("HF_ENDPOINT", "https://u:p@a.b", False), ("WHATEVER", "x", False),
     ("MY_VLLM_LOGIN", "x", False), ("HTTPS_PROXY", "http://proxy:1", False)],
)  # fmt: skip
def test_only_settings_are_shown(name: str, value: str, seen: bool) -> None:
    """A secret may stand under any name."""
    assert shown_variables({name: value}) == {name: value if seen else HIDDEN}


def test_hidden_values_are_kept() -> None:
    before = {"A_TOKEN": "x", "B": "y"}
    assert kept(shown(before) | {"C": "z"}, before) == before | {"C": "z"}
