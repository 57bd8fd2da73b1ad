"""What the register keeps of a project's requests, in the console."""

from controlplane.models import Project
from tests.factories import BodyKeyFactory, ProjectFactory

from .pages import errors, text, url


def test_new_project_keeps_digests(alice_console):
    alice_console.post(url("controlplane_project_add"), {"name": "team-a", "register_mode": "digest"})
    assert Project.objects.get().register_mode == "digest"


def test_mode_is_changed_and_shown(alice_console, events):
    project = ProjectFactory()
    alice_console.post(url("controlplane_project_do_change", project.pk), {"register_mode": "metadata"})
    assert events()[-1].changes == {"register_mode": ["digest", "metadata"]}
    assert "Metadata only" in text(alice_console.get(url("controlplane_project_change", project.pk)))


def test_contents_are_kept_by_mode_and_domain(alice_console):
    project = ProjectFactory()
    path = url("controlplane_project_do_change", project.pk)
    assert 'value="full"' in text(alice_console.get(path))
    alice_console.post(path, {"register_mode": "masked", "data_domain": "sensitive"})
    project.refresh_from_db()
    assert (project.register_mode, project.data_domain) == ("masked", "sensitive")


def test_unknown_mode_is_refused(alice_console):
    path = url("controlplane_project_do_change", ProjectFactory().pk)
    assert "register_mode" in errors(alice_console.post(path, {"register_mode": "whole"}))


def test_person_to_erase_is_chosen_among_those_of_whom_something_is_kept(alice_console):
    pair = BodyKeyFactory(person="dora")
    BodyKeyFactory(person="emil")
    path = url("controlplane_project_do_erase_bodies", pair.project.pk)
    page = text(alice_console.get(path))
    assert 'value="dora"' in page
    assert 'value="emil"' not in page
    alice_console.post(path, {"person": "dora", "reason": "asked for it"})
    pair.refresh_from_db()
    assert pair.shredded_at is not None
