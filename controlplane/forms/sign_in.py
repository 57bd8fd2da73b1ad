"""The console's door."""

from math import ceil
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import ngettext
from unfold.forms import AuthenticationForm

from controlplane.attempts import TooManyAttempts


class SignInForm(AuthenticationForm):
    """Unfold's, which also tells how long to wait after too many attempts: the same for names that nobody has."""

    def clean(self) -> dict[str, Any]:
        try:
            cleaned: dict[str, Any] = super().clean()
        except TooManyAttempts as exc:
            raise ValidationError(waiting_time(exc), code="locked") from exc
        return cleaned


def waiting_time(exc: TooManyAttempts) -> str:
    """When to try again, in words."""
    minutes = ceil(exc.seconds / 60)
    return ngettext(
        "Too many failed attempts. Try again in %(minutes)d minute.",
        "Too many failed attempts. Try again in %(minutes)d minutes.",
        minutes,
    ) % {"minutes": minutes}
