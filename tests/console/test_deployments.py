import pytest

from controlplane.lifecycle import DeploymentState
from controlplane.models import Deployment
from controlplane.models.deployments import Backend, Flavour
from tests.certificates import Authority
from tests.factories import DeploymentFactory, ProjectFactory, TargetFactory, VersionFactory

from .pages import errors, text, url


def _make(console, **fields):
    version = fields.pop("version", None) or VersionFactory()
    sent = {"name": "qwen3", "version": version.pk, "flavour": "vllm-cpu", "replicas": "1", **fields}
    return console.post(url("controlplane_deployment_add"), sent)


def _do(console, verb, deployment, **fields):
    return console.post(url(f"controlplane_deployment_do_{verb}", deployment.pk), fields)


def test_deployment_is_ordered(alice_console, events):
    _make(alice_console, replicas="2", engine_args='{"max-model-len": 2048}', reason="launch")
    deployment = Deployment.objects.get()
    assert (deployment.replicas, deployment.engine_args) == (2, {"max-model-len": 2048})
    assert deployment.status.state == DeploymentState.PENDING
    assert events()[-1].reason == "launch"


def test_external_flavour_brings_its_backend(alice_console):
    _make(alice_console, flavour="external", external_url="http://10.0.0.5:8000")
    deployment = Deployment.objects.get()
    assert (deployment.flavour, deployment.backend) == (Flavour.EXTERNAL, Backend.EXTERNAL)


@pytest.mark.parametrize(
    "text_given",
    ["{x", "[]", "1", '"a"', "NaN", '{"a": NaN}', '{"a": "\\u0000"}', "[" * 5000, "9" * 5000, "{" * 30_000],
)
def test_engine_arguments_that_are_no_object_are_refused(text_given, alice_console):
    assert "engine_args" in errors(_make(alice_console, engine_args=text_given))
    assert not Deployment.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "Not A Label"}, "name"),
        ({"engine_args": '{"port": 1}'}, "engine_args"),
        ({"flavour": "external"}, "external_url"),
        ({"replicas": "65"}, "replicas"),
        ({"flavour": "nonsense"}, "flavour"),
    ],
)
def test_refusal_stands_at_its_field(fields, field, alice_console):
    assert field in errors(_make(alice_console, **fields))
    assert not Deployment.objects.exists()


def test_without_a_version_the_way_leads_to_the_models(alice_console):
    answer = alice_console.get(url("controlplane_deployment_add"))
    assert answer.headers["Location"] == url("controlplane_model_changelist")


def test_scaling(alice_console, events):
    deployment = DeploymentFactory()
    _do(alice_console, "scale", deployment, replicas="0", reason="night")
    deployment.refresh_from_db()
    assert deployment.replicas == 0
    assert events()[-1].changes == {"replicas": [1, 0]}


def test_change_form_shows_what_is(alice_console):
    deployment = DeploymentFactory(engine_args={"max-model-len": 2048})
    page = text(alice_console.get(url("controlplane_deployment_do_change", deployment.pk)))
    assert "&quot;max-model-len&quot;: 2048" in page


def test_change_keeps_what_was_not_touched(alice_console):
    deployment = DeploymentFactory(engine_args={"a": 1}, engine_env={"B": "2"}, served_name="m", drain_seconds=7)
    sent = {"version": deployment.version_id, "engine_args": '{"a": 2}', "engine_env": '{"B": "2"}', "served_name": "m"}
    assert _do(alice_console, "change", deployment, **sent, drain_seconds="7").status_code == 302
    deployment.refresh_from_db()
    assert (deployment.engine_args, deployment.engine_env, deployment.drain_seconds) == ({"a": 2}, {"B": "2"}, 7)


def test_deleting_asks_for_a_reason(alice_console):
    deployment = DeploymentFactory()
    assert "reason" in errors(_do(alice_console, "delete", deployment))
    deployment.refresh_from_db()
    assert deployment.deleted_at is None


def test_deleted_deployment_says_so(alice_console):
    deployment = DeploymentFactory()
    _do(alice_console, "delete", deployment, reason="old")
    page = text(alice_console.get(url("controlplane_deployment_change", deployment.pk)))
    assert 'data-state="deleting"' in page
    assert 'data-testid="action-scale"' not in page


def test_deployment_with_traffic_is_not_deleted(alice_console):
    target = TargetFactory(route__name="public")
    assert "public" in errors(_do(alice_console, "delete", target.deployment, reason="old"))[""][0]


def test_list_finds_by_name_and_state(alice_console):
    DeploymentFactory(name="alpha"), DeploymentFactory(name="beta", project=ProjectFactory())
    page = text(alice_console.get(url("controlplane_deployment_changelist"), {"q": "alph"}))
    assert "alpha" in page
    assert "beta" not in page


def test_list_takes_a_fixed_number_of_queries(alice_console, django_assert_max_num_queries):
    for _ in range(10):
        DeploymentFactory()
    with django_assert_max_num_queries(12):
        alice_console.get(url("controlplane_deployment_changelist"))


def test_no_bulk_deletion(alice_console):
    deployment = DeploymentFactory()
    sent = {"action": "delete_selected", "_selected_action": [str(deployment.pk)], "post": "yes"}
    alice_console.post(url("controlplane_deployment_changelist"), sent)
    assert Deployment.objects.filter(deleted_at=None).exists()


@pytest.mark.parametrize("page", ["change", "add", "delete", "history"])
def test_the_admins_own_forms_are_not_there(page, alice_console):
    deployment = DeploymentFactory()
    before = Deployment.objects.values().get()
    alice_console.post(f"/console/controlplane/deployment/{deployment.pk}/{page}/", {"name": "other", "post": "yes"})
    assert Deployment.objects.values().get() == before


def test_engine_may_have_a_short_name(alice_console):
    _make(alice_console, flavour="external", external_url="http://engine:8000")
    assert Deployment.objects.get().external_url == "http://engine:8000"


def test_engine_without_a_scheme_is_refused_at_its_field(alice_console):
    assert "external_url" in errors(_make(alice_console, flavour="external", external_url="10.0.0.5:8000"))


def test_engine_behind_tls(alice_console):
    sent = {
        "name": "far", "version": str(VersionFactory().pk), "flavour": "external", "replicas": "1",
        "external_url": "https://10.0.0.5:8000", "tls_ca": Authority().pem,
    }  # fmt: skip
    alice_console.post(url("controlplane_deployment_add"), sent)
    made = Deployment.objects.get()
    assert (made.tls_verify, made.tls_ca.count("BEGIN")) == (True, 1)
    page = text(alice_console.get(url("controlplane_deployment_change", made.pk)))
    assert "1 own CA certificate" in page


def test_unchecked_engine_is_marked(alice_console):
    made = DeploymentFactory(backend="external", flavour="external", external_url="https://10.0.0.5:8000")
    change = url("controlplane_deployment_do_change", made.pk)
    assert "Dangerous" in text(alice_console.get(change))
    sent = {
        "version": str(made.version.pk), "external_url": made.external_url, "served_name": "m", "drain_seconds": "30",
        "tls_unchecked": "on",
    }  # fmt: skip
    alice_console.post(change, sent)
    made.refresh_from_db()
    assert made.tls_verify is False
    assert "anybody may pose as it" in text(alice_console.get(url("controlplane_deployment_change", made.pk)))
