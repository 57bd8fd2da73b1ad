"""What is kept of a request's contents, shown to who may see it and says why."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from audit import guard
from audit.models import Event
from audit.record import Actor
from controlplane.access.asking import standing_in
from controlplane.access.reading import may_read_bodies
from controlplane.actions.read_bodies import Read, read_bodies
from controlplane.admin.base import attempt, sent
from controlplane.forms.base import ActionForm


class ReadBodiesForm(ActionForm):
    testid = "read-bodies-form"
    reason_required = True
    subject: Event

    def perform(self, actor: Actor) -> list[Read]:
        return read_bodies(self.subject, actor=actor, reason=self.cleaned_data["reason"])


@never_cache
def page(request: HttpRequest, event: UUID) -> HttpResponse:
    """Asks why, then shows: each look is an entry of the register."""
    found = guard.readable(request).filter(pk=event).first()
    if found is None:
        raise Http404
    if not may_read_bodies(request, found):
        raise PermissionDenied
    form = ReadBodiesForm(sent(request), subject=found, standing=standing_in(request))
    read: Any = attempt(request, form)
    back = reverse("admin:audit_event_change", args=[found.pk])
    context = {
        **admin.site.each_context(request), "title": _("Contents"), "heading": _("Contents"), "form": form,
        "crumbs": [(_("Audit"), reverse("admin:audit_event_changelist")), (found.operation, back)],
        "cancel": back, "read": read, "event": found,
    }  # fmt: skip
    return TemplateResponse(request, "console/bodies.html", context)
