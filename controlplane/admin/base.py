"""What the pages of all nouns share: a list by Django's admin, an own detail page, and verbs that end in actions.

The admin's own add, change and delete views are not reachable: they would write models past the actions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.cache import add_never_cache_headers
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from controlplane import actors
from controlplane.errors import NotAllowed, Refused
from controlplane.forms.base import ActionForm
from controlplane.permissions import Permission, require


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


def may(request: HttpRequest, permission: Permission) -> bool:
    """True when the person holds the permission, asked once a request; the action itself asks again."""
    known: dict[Permission, bool] = request.__dict__.setdefault("signalbox_may", {})
    if permission not in known:
        try:
            require(actors.from_request(request, source="ui"), permission)
            known[permission] = True
        except NotAllowed:
            known[permission] = False
    return known[permission]


class ConsoleAdmin(ModelAdmin):
    """Base of the console's pages. `add_form` and `verbs` say what can be done; everything else is read only."""

    actions = None
    show_full_result_count = False
    list_per_page = 50
    list_filter_sheet = True
    show_facets = admin.ShowFacets.NEVER

    add_form: type[ActionForm] | None = None
    add_permission: Permission | None = None
    add_title: Any = ""
    verbs: tuple[Verb, ...] = ()
    detail_template = "console/detail.html"
    superusers_only = False

    # -- who may see what

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del obj
        user = request.user
        return bool(user.is_active and (user.is_superuser if self.superusers_only else user.is_staff))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(self.add_form and self.add_permission and may(request, self.add_permission))

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
        form = self.add_form(sent(request), initial=self.add_initial(request))
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
        """The only page that ever shows a secret: the answer to the POST itself, so that no URL leads to it."""
        context = {"secret": secret, "heading": name, "crumbs": self.crumbs(), "done": self.link("changelist"), **more}
        response = self.page(request, "console/secret.html", context)
        add_never_cache_headers(response)
        return response

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
        if not may(request, verb.permission):
            raise PermissionDenied
        form = verb.form(sent(request), subject=subject)
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
            if verb.offered(subject) and may(request, verb.permission)
        ]  # fmt: skip

    def facts(self, subject: Any) -> list[tuple[Any, Any]]:
        """(label, value) pairs at the top of the detail page."""
        del subject
        return []

    def story(self, request: HttpRequest, subject: Any) -> str:
        """The path of the register's entries about the object; empty for people who may not read it."""
        if not getattr(request.user, "is_superuser", False):
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
        return form.perform(actors.from_request(request, source="ui"))
    except Refused as error:
        form.refuse(error)
        return None
