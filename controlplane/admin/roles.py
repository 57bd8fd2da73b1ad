"""Roles: who holds which, where, and what each may do."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from controlplane.admin.base import ConsoleAdmin, Verb
from controlplane.badges import badge
from controlplane.forms.roles import BindingForm, RevokeRoleForm
from controlplane.models import RoleBinding
from controlplane.roles import PERMISSIONS_OF, Permission, Role

_DESCRIPTIONS = {
    Role.OWNER: _("Everything, the roles of others included."),
    Role.OPERATOR: _("Runs what serves: models, deployments, routes, keys and limits. Reads the register."),
    Role.DEVELOPER: _("Makes and ends API keys and tries models; looks at what serves."),
    Role.AUDITOR: _("Reads and exports the register, and nothing else."),
    Role.VIEWER: _("Looks at what serves, and changes nothing."),
}


def role_badge(binding: RoleBinding) -> SafeString:
    """The role with where it is held; one on the platform stands out."""
    where = binding.project.name if binding.project else _("platform")
    told = format_html("{} · {}", binding.get_role_display(), where)
    return badge("on-project" if binding.project else "on-platform", told)


@admin.register(RoleBinding)
class RoleBindingAdmin(ConsoleAdmin):
    read_permission = Permission.ROLE_READ
    list_display = ("shown_holder", "shown_kind", "shown_role", "shown_where", "created_by", "created_at")
    list_select_related = ("user", "service_account", "project")
    list_filter = ("role", ("project", admin.RelatedOnlyFieldListFilter))
    list_before_template = "console/people_tabs.html"
    search_fields = ("user__username", "service_account__name")
    add_form = BindingForm
    add_permission = Permission.ROLE_GRANT
    add_title = _("Grant a role")
    verbs = (
        Verb(
            "revoke", _("Take away"), Permission.ROLE_GRANT, RevokeRoleForm, _("The role of %(name)s was taken away."),
            icon="person_remove", danger=True, warning=_("It is gone with the holder's next request."),
        ),
    )  # fmt: skip

    def more_urls(self) -> list[tuple[str, str, Any]]:
        return [("roles/", "roles", self.roles_page)]

    @admin.display(description=_("holder"))
    def shown_holder(self, binding: RoleBinding) -> str:
        return str(binding.holder)

    @admin.display(description=_("kind"))
    def shown_kind(self, binding: RoleBinding) -> Any:
        return _("user") if binding.user_id else _("service account")

    @admin.display(description=_("role"), ordering="role")
    def shown_role(self, binding: RoleBinding) -> Any:
        return binding.get_role_display()

    @admin.display(description=_("where"), ordering="project__name")
    def shown_where(self, binding: RoleBinding) -> Any:
        return binding.project or _("the whole platform")

    def added(self, request: HttpRequest, result: RoleBinding) -> HttpResponse:
        messages.success(request, _("%(name)s now holds the role.") % {"name": result.holder})
        return HttpResponseRedirect(self.link("changelist"))

    def verb_done(self, request: HttpRequest, verb: Verb, result: RoleBinding) -> HttpResponse:
        messages.success(request, verb.done % {"name": result.holder})
        if result.user_id:
            return HttpResponseRedirect(reverse("admin:controlplane_user_change", args=[result.user_id]))
        return HttpResponseRedirect(self.link("changelist"))

    def facts(self, subject: RoleBinding) -> list[tuple[Any, Any]]:
        return [
            (_("holder"), subject.holder),
            (_("kind"), self.shown_kind(subject)),
            (_("role"), subject.get_role_display()),
            (_("where"), self.shown_where(subject)),
            (_("may"), _DESCRIPTIONS[Role(subject.role)]),
            (_("granted by"), subject.created_by),
            (_("created"), subject.created_at),
        ]

    def roles_page(self, request: HttpRequest) -> HttpResponse:
        """What each role may do, as one table."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            "heading": _("What roles may do"), "crumbs": self.crumbs(),
            "roles": [(role, role.label, _DESCRIPTIONS[role]) for role in Role],
            "permissions": [(it.value, [it in PERMISSIONS_OF[role] for role in Role]) for it in Permission],
        }  # fmt: skip
        return self.page(request, "console/roles.html", context)
