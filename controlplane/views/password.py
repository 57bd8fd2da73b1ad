"""One's own new password, through the action."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from unfold.forms import AdminOwnPasswordChangeForm

from controlplane import actors
from controlplane.actions.change_password import change_password
from controlplane.errors import Refused
from controlplane.models import User
from controlplane.sessions import session_of


class PasswordChange(PasswordChangeView):
    """Asks for the old password, then lets the action set the new one. The other sessions of the user end."""

    template_name = "console/password_change.html"
    form_class = AdminOwnPasswordChangeForm
    success_url = reverse_lazy("admin:index")
    request: HttpRequest

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        first = self.user.must_change_password
        title = _("Choose your own password") if first else _("Change password")
        return super().get_context_data(**kwargs) | {"title": title, "heading": title, "first": first}

    @property
    def user(self) -> User:
        return User.objects.get(pk=str(self.request.user.pk))

    def form_valid(self, form: Any) -> HttpResponse:
        actor = actors.from_request(self.request, source="ui")
        try:
            user = change_password(
                self.user,
                password=form.cleaned_data["new_password1"],
                keep=session_of(self.request),
                actor=actor,
            )
        except Refused as error:
            form.add_error(getattr(error, "field", "") or None, error.message)
            return self.form_invalid(form)
        update_session_auth_hash(self.request, user)
        messages.success(self.request, _("Your password was changed."))
        return HttpResponseRedirect(reverse("admin:index"))
