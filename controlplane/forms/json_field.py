"""A JSON object typed by hand."""

import json
from typing import Any, NoReturn

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

LONGEST = 20_000


class ObjectField(forms.CharField):
    """Cleans to a dict. Refuses what PostgreSQL's jsonb cannot hold: NUL, NaN and infinities."""

    widget = forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "data-json": ""})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=LONGEST, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict) and value else value or ""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return {}
        if len(text) > LONGEST:
            raise ValidationError(_("At most %(number)d characters."), params={"number": LONGEST})
        try:
            found = json.loads(text, parse_constant=_no_constant)
        except json.JSONDecodeError as exc:
            raise ValidationError(
                _("Not JSON: see line %(line)d, column %(column)d."), params={"line": exc.lineno, "column": exc.colno}
            ) from exc
        except (ValueError, RecursionError) as exc:
            raise ValidationError(_("Not JSON that can be stored.")) from exc
        if not isinstance(found, dict) or "\\u0000" in json.dumps(found):
            raise ValidationError(_('Give an object such as {"name": "value"}.'))
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.prepare_value(initial) != data)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
