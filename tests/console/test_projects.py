"""What the register keeps of a project's requests, in the console."""

from controlplane.models import Project
from tests.factories import ProjectFactory

from .pages import errors, text, url


def test_new_project_keeps_digests(alice_console):
    alice_console.post(url("controlplane_project_add"), {"name": "team-a", "register_mode": "digest"})
    assert Project.objects.get().register_mode == "digest"


def test_mode_is_changed_and_shown(alice_console, events):
    project = ProjectFactory()
    alice_console.post(url("controlplane_project_do_change", project.pk), {"register_mode": "metadata"})
    assert events()[-1].changes == {"register_mode": ["digest", "metadata"]}
    assert "Metadata only" in text(alice_console.get(url("controlplane_project_change", project.pk)))


def test_contents_are_not_offered(alice_console):
    project = ProjectFactory()
    page = alice_console.get(url("controlplane_project_do_change", project.pk))
    assert 'value="full"' not in text(page)
    refused = alice_console.post(url("controlplane_project_do_change", project.pk), {"register_mode": "full"})
    assert "register_mode" in errors(refused)
