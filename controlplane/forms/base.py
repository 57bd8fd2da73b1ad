"""What every form of the console has: Unfold's looks, a reason for the register, and one action at its end."""

from typing import Any, ClassVar, TypeVar

from django import forms
from django.db.models import Model, QuerySet
from django.forms.widgets import Input
from django.utils.translation import gettext_lazy as _
from unfold import widgets

from audit.record import Actor
from controlplane.access.lookups import access
from controlplane.errors import Refused
from controlplane.models import Project
from controlplane.models.base import one_line
from controlplane.roles import Permission, Standing, reach
from controlplane.text import LONGEST_TICKET

_LOOKS: tuple[tuple[type[forms.Widget], list[str]], ...] = (
    (forms.CheckboxInput, widgets.CHECKBOX_CLASSES),
    (forms.CheckboxSelectMultiple, []),
    (forms.Select, widgets.SELECT_CLASSES),
    (forms.Textarea, widgets.TEXTAREA_CLASSES),
    (Input, widgets.INPUT_CLASSES),
)


WHY = ("reason", "ticket")
"""last in every form"""
_M = TypeVar("_M", bound=Model)


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

    ticket = forms.CharField(
        label=_("Ticket"),
        required=False,
        max_length=LONGEST_TICKET,
        validators=[one_line],
        help_text=_("The number of the change or incident this belongs to."),
    )

    def __init__(self, *args: Any, subject: Any = None, standing: Standing, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject = subject
        self.standing = standing
        self.fields["reason"].required = self.reason_required
        self.order_fields([*(name for name in self.fields if name not in WHY), *WHY])
        dress(self)

    def perform(self, actor: Actor) -> Any:
        raise NotImplementedError

    def refuse(self, error: Refused) -> None:
        """Show the refusal at the field it names, or above the form."""
        field = getattr(error, "field", "")
        self.add_error(field if field in self.fields else None, error.message)

    def seen(self, noun: type[_M]) -> QuerySet[_M]:
        """The rows of a noun that the person may see: what a field may offer."""
        return access(noun, self.standing)

    def offer(self, name: str, rows: QuerySet[Any]) -> None:
        """Let the field choose among these."""
        self.fields[name].queryset = rows  # type: ignore[attr-defined]

    def offer_projects(self, permission: Permission) -> None:
        """Let the field `project` choose where the person holds the permission; empty only if that is the platform."""
        field = self.fields["project"]
        self.offer("project", access(Project, self.standing, permission))
        if not reach(self.standing, permission).everything:
            field.required, field.empty_label = True, None  # type: ignore[attr-defined]

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
