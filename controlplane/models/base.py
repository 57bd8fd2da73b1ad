"""What every noun has: a time-ordered id and the two times."""

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

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


class Noun(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        abstract = True
