"""Projects: the tenants that keys and other objects belong to."""

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from controlplane.admin.base import ConsoleAdmin, Verb
from controlplane.forms.api_keys import ChangeProjectForm, EraseBodiesForm, ProjectForm
from controlplane.models import Project
from controlplane.permissions import Permission


@admin.register(Project)
class ProjectAdmin(ConsoleAdmin):
    read_permission = Permission.PROJECT_READ
    list_display = ("name", "title", "created_at")
    search_fields = ("name", "title")
    add_form = ProjectForm
    add_permission = Permission.PROJECT_CREATE
    add_title = _("New project")
    verbs = (
        Verb("change", _("Change"), Permission.PROJECT_CHANGE, ChangeProjectForm, _("%(name)s was changed.")),
        Verb(
            "erase_bodies", _("Erase a person's contents"), Permission.AUDIT_BODY_ERASE, EraseBodiesForm,
            _("What was kept of the person in %(name)s cannot be read any more."), icon="delete_forever", danger=True,
            warning=_("The key to all that is kept of this person here is destroyed. Nobody can bring it back."),
        ),
    )  # fmt: skip

    def project_of(self, subject: Project) -> Project:
        return subject

    def facts(self, subject: Project) -> list[tuple[Any, Any]]:
        return [
            (_("name"), subject.name),
            (_("title"), subject.title),
            (_("media hosts"), ", ".join(subject.media_hosts) or _("none: data URLs only")),
            (_("in the register"), subject.get_register_mode_display()),
            (_("data domain"), subject.get_data_domain_display()),
            (_("API keys"), subject.api_keys.usable().count()),
            (_("deployments"), subject.deployments.count()),
            (_("routes"), ", ".join(subject.routes.values_list("name", flat=True)[:20])),
            (_("created"), subject.created_at),
        ]
