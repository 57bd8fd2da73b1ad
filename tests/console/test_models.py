from controlplane.lifecycle import VersionState
from controlplane.models import Model, ModelVersion
from tests.factories import DeploymentFactory, ModelFactory, VersionFactory

from .pages import errors, text, url


def test_model_is_made(alice_console):
    answer = alice_console.post(url("controlplane_model_add"), {"name": "qwen3", "description": "千问"})
    assert answer.headers["Location"] == url("controlplane_model_change", Model.objects.get().pk)


def test_bad_name_is_shown_at_its_field(alice_console):
    assert "name" in errors(alice_console.post(url("controlplane_model_add"), {"name": "Qwen 3"}))


def test_taken_name_is_refused(alice_console):
    ModelFactory(name="qwen3")
    assert "" in errors(alice_console.post(url("controlplane_model_add"), {"name": "qwen3"}))


def test_model_page_lists_its_versions(alice_console):
    version = VersionFactory(source="hf:Qwen/Qwen3-32B")
    assert "hf:Qwen/Qwen3-32B" in text(alice_console.get(url("controlplane_model_change", version.model.pk)))


def test_version_is_added_to_the_model_it_was_asked_from(alice_console):
    model = ModelFactory()
    page = text(alice_console.get(url("controlplane_modelversion_add"), {"model": str(model.pk)}))
    assert f'<option value="{model.pk}" selected>' in page
    sent = {"model": model.pk, "name": "1", "source": "/srv/w", "max_model_len": "4096"}
    alice_console.post(url("controlplane_modelversion_add"), sent)
    assert ModelVersion.objects.get().max_model_len == 4096


def test_source_of_no_known_kind_is_refused(alice_console):
    model = ModelFactory()
    sent = {"model": model.pk, "name": "1", "source": "weights"}
    assert "source" in errors(alice_console.post(url("controlplane_modelversion_add"), sent))


def test_version_is_retired(alice_console):
    version = VersionFactory()
    alice_console.post(url("controlplane_modelversion_do_retire", version.pk), {"reason": "superseded"})
    version.refresh_from_db()
    assert version.state == VersionState.RETIRED


def test_running_version_is_not_retired(alice_console):
    deployment = DeploymentFactory(name="canary")
    answer = alice_console.post(url("controlplane_modelversion_do_retire", deployment.version_id), {"reason": "x"})
    assert "canary" in errors(answer)[""][0]
