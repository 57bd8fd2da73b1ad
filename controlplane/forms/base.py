"""What every form of the console has: Unfold's looks, a reason for the register, and one action at its end."""

from typing import Any, ClassVar

from django import forms
from django.forms.widgets import Input
from django.utils.translation import gettext_lazy as _
from unfold import widgets

from audit.record import Actor
from controlplane.errors import Refused
from controlplane.models.base import one_line

_LOOKS: tuple[tuple[type[forms.Widget], list[str]], ...] = (
    (forms.CheckboxInput, widgets.CHECKBOX_CLASSES),
    (forms.CheckboxSelectMultiple, []),
    (forms.Select, widgets.SELECT_CLASSES),
    (forms.Textarea, widgets.TEXTAREA_CLASSES),
    (Input, widgets.INPUT_CLASSES),
)


class ActionForm(forms.Form):
    """`perform` calls the action with the cleaned values and answers what it answers; it may raise `Refused`."""

    testid: ClassVar[str] = "form"
    reason_required: ClassVar[bool] = False

    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=500,
        validators=[one_line],
        help_text=_("Goes into the audit register with your name."),
    )

    def __init__(self, *args: Any, subject: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject = subject
        self.fields["reason"].required = self.reason_required
        self.order_fields([*(name for name in self.fields if name != "reason"), "reason"])
        dress(self)

    def perform(self, actor: Actor) -> Any:
        raise NotImplementedError

    def refuse(self, error: Refused) -> None:
        """Show the refusal at the field it names, or above the form."""
        field = getattr(error, "field", "")
        self.add_error(field if field in self.fields else None, error.message)

    def show_for(self, name: str, choice: str) -> None:
        """Show the field only while another one has one of the values: ``other=value,value``."""
        self.fields[name].shown_for = choice  # type: ignore[attr-defined]

    @property
    def why(self) -> str:
        return str(self.cleaned_data["reason"])


def dress(form: forms.BaseForm) -> None:
    """Give the widgets Unfold's classes."""
    for field in form.fields.values():
        for kind, classes in _LOOKS:
            if isinstance(field.widget, kind):
                field.widget.attrs.setdefault("class", " ".join(classes))
                break
