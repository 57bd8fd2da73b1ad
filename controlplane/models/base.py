"""What every noun has: a time-ordered id and the two times. And what names and texts may hold, whoever writes them."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from controlplane.text import composed, unusable_character
from inference.contract.ids import uuid7

# Names become file names, Kubernetes object names and labels: RFC 1123 labels, short enough for a suffix.
dns_label = RegexValidator(
    r"\A[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?\Z",
    _("Use at most 52 lower-case letters, digits and hyphens; begin and end with a letter or digit."),
)

# What clients write as "model": the characters that OpenAI, Hugging Face and vLLM names are made of.
public_name = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}\Z",
    _("Use at most 128 letters, digits and . _ : / @ -; begin with a letter or digit."),
)


def one_line(text: str) -> None:
    """Raise ValidationError for a character that is not seen or that hides what is."""
    _check(text, paragraphs=False)


def paragraphs(text: str) -> None:
    """The same, but line breaks and tabs are allowed."""
    _check(text, paragraphs=True)


def _check(text: str, *, paragraphs: bool) -> None:
    if character := unusable_character(text, paragraphs=paragraphs):
        raise ValidationError(_("The character %(character)s is not allowed."), "unusable", {"character": character})


class Line(models.CharField):
    """A name or title that people write: one line in any script, kept in NFC."""

    default_validators = [one_line]

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return composed(value) if isinstance(value, str) else value


class Paragraphs(models.TextField):
    """A text that people write, kept in NFC."""

    default_validators = [paragraphs]

    def to_python(self, value: Any) -> Any:
        value = super().to_python(value)
        return composed(value) if isinstance(value, str) else value


class Noun(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        abstract = True
