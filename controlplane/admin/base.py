"""What the pages of all nouns share: a list by Django's admin, an own detail page, and verbs that end in actions.

The admin's own add, change and delete views are not reachable: they would write models past the actions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from controlplane import actors, shown_once
from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.actions.suspend_actor import suspend_actor
from controlplane.errors import Refused
from controlplane.forms.base import ActionForm
from controlplane.guard import Abnormal
from controlplane.models import Project
from controlplane.roles import Permission, decide, reach


@dataclass(frozen=True)
class Verb:
    """Something a person can do to one object: a button on its page, a form, an action."""

    name: str
    label: Any
    permission: Permission
    form: type[ActionForm]
    done: Any
    """the message once it is done"""
    icon: str = "edit"
    danger: bool = False
    warning: Any = ""
    """what it will cause, shown above the form"""
    offered: Callable[[Any], bool] = lambda _object: True
    on_platform: bool = False
    """the permission is needed on the platform, whatever project the object is of"""


def may(request: HttpRequest, permission: Permission, project: Project | None) -> bool:
    """True when the person holds the permission on the project (None: the platform). The action itself asks again."""
    return decide(standing_in(request), permission, project.pk if project else None).allowed


def may_somewhere(request: HttpRequest, permission: Permission) -> bool:
    """True when there is anything that the person may do this to."""
    return bool(reach(standing_in(request), permission))


class ConsoleAdmin(ModelAdmin):
    """Base of the console's pages. `add_form` and `verbs` say what can be done; everything else is read only.

    `read_permission` shows the noun at all; of its rows a person sees those that `access` gives.
    """

    actions = None
    show_full_result_count = False
    list_per_page = 50
    list_filter_sheet = True
    show_facets = admin.ShowFacets.NEVER

    read_permission: ClassVar[Permission]
    add_form: type[ActionForm] | None = None
    add_permission: Permission | None = None
    add_title: Any = ""
    verbs: tuple[Verb, ...] = ()
    detail_template = "console/detail.html"

    # -- who may see what

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del obj
        return may_somewhere(request, self.read_permission)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return access(self.model, standing_in(request)).order_by(*self.get_ordering(request))

    def project_of(self, subject: Any) -> Project | None:
        """Where the right to change the object is asked for; None: on the platform."""
        project: Project | None = subject.project
        return project

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(self.add_form and self.add_permission and may_somewhere(request, self.add_permission))

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del request, obj
        return False

    # -- the paths

    def get_urls(self) -> list[URLPattern]:
        page, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        own = [path(rule, page(view), name=f"{name}_{suffix}") for rule, suffix, view in self.more_urls()]
        verbs = [
            path(
                f"<str:object_id>/{verb.name}/", page(partial(self.verb_view, verb=verb)), name=f"{name}_do_{verb.name}"
            )
            for verb in self.verbs
        ]
        return [
            path("", page(self.changelist_view), name=f"{name}_changelist"),
            *([path("add/", page(self.add_page), name=f"{name}_add")] if self.add_form else []),
            *own,
            *verbs,
            path("<str:object_id>/", page(self.detail_page), name=f"{name}_change"),
        ]

    def more_urls(self) -> list[tuple[str, str, Callable[..., HttpResponse]]]:
        """Further paths of the noun: (rule, suffix of the name, view)."""
        return []

    def link(self, suffix: str, *args: Any) -> str:
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{suffix}", args=args)

    # -- the pages

    def add_page(self, request: HttpRequest) -> HttpResponse:
        if not self.has_add_permission(request) or self.add_form is None:
            raise PermissionDenied
        form = self.add_form(sent(request), initial=self.add_initial(request), standing=standing_in(request))
        if (result := attempt(request, form)) is not None:
            return self.added(request, result)
        context = {"form": form, "crumbs": self.crumbs(), "heading": self.add_title, "cancel": self.link("changelist")}
        return self.page(request, "console/form.html", context)

    def add_initial(self, request: HttpRequest) -> dict[str, Any]:
        return {
            name: value for name, value in request.GET.items() if self.add_form and name in self.add_form.base_fields
        }

    def added(self, request: HttpRequest, result: Any) -> HttpResponse:
        """Where to go once the object is there."""
        messages.success(request, _("%(name)s was created.") % {"name": result})
        return HttpResponseRedirect(self.link("change", result.pk))

    def show_once(self, request: HttpRequest, name: str, secret: str, more: dict[str, Any]) -> HttpResponse:
        """Lead to the only page that ever shows a secret. `more` holds plain values."""
        context = {"secret": secret, "heading": name, "crumbs": self.crumbs(), "done": self.link("changelist"), **more}
        return shown_once.keep(request, context)

    def detail_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        subject = self.find(request, object_id)
        context = {
            "subject": subject,
            "crumbs": self.crumbs(),
            "heading": str(subject),
            "buttons": self.buttons(request, subject),
            "facts": self.facts(subject),
            "story": self.story(request, subject),
            **self.detail_context(request, subject),
        }
        return self.page(request, self.detail_template, context)

    def verb_view(self, request: HttpRequest, object_id: str, verb: Verb) -> HttpResponse:
        subject = self.find(request, object_id)
        if not self.may_do(request, verb, subject):
            raise PermissionDenied
        form = verb.form(sent(request), subject=subject, standing=standing_in(request))
        if (result := attempt(request, form)) is not None:
            return self.verb_done(request, verb, result)
        here = self.link("change", subject.pk)
        context = {
            "form": form, "verb": verb, "subject": subject, "heading": verb.label, "cancel": here,
            "crumbs": [*self.crumbs(), (str(subject), here)],
        }  # fmt: skip
        return self.page(request, "console/form.html", context)

    def verb_done(self, request: HttpRequest, verb: Verb, result: Any) -> HttpResponse:
        """What to show once a verb's action has answered `result`."""
        messages.success(request, verb.done % {"name": result})
        return HttpResponseRedirect(self.link("change", result.pk))

    # -- the parts

    def find(self, request: HttpRequest, object_id: str) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if (subject := self.get_object(request, object_id)) is None:
            raise Http404
        return subject

    def page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
        request.current_app = self.admin_site.name
        whole = {**self.admin_site.each_context(request), "title": context["heading"], **context}
        return TemplateResponse(request, template, whole)

    def crumbs(self) -> list[tuple[str, str]]:
        return [(str(capfirst(self.opts.verbose_name_plural)), self.link("changelist"))]

    def buttons(self, request: HttpRequest, subject: Any) -> list[dict[str, Any]]:
        return [
            {"label": verb.label, "icon": verb.icon, "danger": verb.danger, "name": verb.name,
             "url": self.link(f"do_{verb.name}", subject.pk)}
            for verb in self.verbs
            if verb.offered(subject) and self.may_do(request, verb, subject)
        ]  # fmt: skip

    def may_do(self, request: HttpRequest, verb: Verb, subject: Any) -> bool:
        return may(request, verb.permission, None if verb.on_platform else self.project_of(subject))

    def facts(self, subject: Any) -> list[tuple[Any, Any]]:
        """(label, value) pairs at the top of the detail page."""
        del subject
        return []

    def story(self, request: HttpRequest, subject: Any) -> str:
        """The path of the register's entries about the object; empty for people who may not read it."""
        if not may_somewhere(request, Permission.AUDIT_READ):
            return ""
        return f"{reverse('admin:audit_event_changelist')}?target={self.opts.model_name}:{subject.pk}"

    def detail_context(self, request: HttpRequest, subject: Any) -> dict[str, Any]:
        del request, subject
        return {}


def sent(request: HttpRequest) -> QueryDict | None:
    """What was posted, an empty form included; None when the form was only asked for."""
    return request.POST if request.method == "POST" else None


def attempt(request: HttpRequest, form: ActionForm) -> Any:
    """What the form's action answered, or None: the form has not been sent, or it now shows why it was refused."""
    if request.method != "POST" or not form.is_valid():
        return None
    try:
        return form.perform(actors.from_request(request, source="ui", ticket=form.cleaned_data["ticket"]))
    except Refused as error:
        if isinstance(error, Abnormal):
            suspend_actor(error.actor, verdict=error.verdict)
        form.refuse(error)
        return None
