"""The tables beside the register: who writes into it, what binds it, who may seal, and what verifying found.

`Seal` and `Checkpoint` are only appended to; PostgreSQL refuses all else, and a seal of an epoch that is over.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Writer(models.Model):
    """A process that appends, and how far its numbers are sealed. PostgreSQL adds it with its first row."""

    name = models.TextField(_("writer"), primary_key=True)
    first_seen = models.DateTimeField(_("first seen"))
    last_seen = models.DateTimeField(_("last seen"))
    """when a row of it was sealed last; long silent ones are looked at less often"""
    sealed = models.BigIntegerField(_("sealed up to"), default=0)
    missing = models.JSONField(_("missing"), default=list)
    """``[first, last, since, given up]`` of numbers below `sealed` that were never seen"""

    class Meta:
        db_table = "audit_writer"
        verbose_name = _("writer")
        verbose_name_plural = _("writers")
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class Seal(models.Model):
    """What binds the rows of about one second; its fields stand in docs/register.md."""

    number = models.BigIntegerField(_("number"), primary_key=True)
    epoch = models.BigIntegerField(_("epoch"))
    sealed_at = models.DateTimeField(_("sealed"))
    ranges = models.JSONField(_("ranges"))
    gaps = models.JSONField(_("gaps"), default=list)
    count = models.IntegerField(_("entries"))
    total = models.BigIntegerField(_("entries in all"))
    first_at = models.DateTimeField(_("first entry"), null=True)
    last_at = models.DateTimeField(_("last entry"), null=True)
    root = models.BinaryField(_("root"))
    prev = models.BinaryField(_("seal before"))
    hash = models.BinaryField(_("hash"))
    leaves = models.BinaryField(_("leaf hashes"))

    class Meta:
        db_table = "audit_seal"
        ordering = ("-number",)
        verbose_name = _("seal")
        verbose_name_plural = _("seals")
        default_permissions = ()
        indexes = [models.Index(fields=["last_at"], name="audit_seal_last")]

    def __str__(self) -> str:
        return str(self.number)


class Checkpoint(models.Model):
    """A copy of a line of the checkpoint file, for exports; the file is what convicts."""

    number = models.BigIntegerField(_("seal"), primary_key=True)
    signed_at = models.DateTimeField(_("signed"))
    line = models.TextField(_("line"))

    class Meta:
        db_table = "audit_checkpoint"
        ordering = ("-number",)
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.number)


class SealerLease(models.Model):
    """The one row that says who may seal. A new holder has a new epoch; PostgreSQL takes seals of the newest only."""

    epoch = models.BigIntegerField(default=0)
    holder = models.TextField(default="")
    until = models.DateTimeField()
    trouble = models.TextField(default="")
    """why nothing could be sealed or signed at the last try; empty when all is well"""

    class Meta:
        db_table = "audit_sealer"
        default_permissions = ()


class Verification(models.Model):
    """The one row that says how far the rolling verification is and what it found."""

    next_number = models.BigIntegerField(default=1)
    round_began = models.DateTimeField(null=True)
    last_round = models.DateTimeField(null=True)
    """when a whole round ended well"""
    checked_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    """set while what was found is not settled: retention is frozen"""
    failure = models.TextField(default="")

    class Meta:
        db_table = "audit_verification"
        default_permissions = ()


class Retirement(models.Model):
    """A month of the register that was exported and dropped. Signed: nobody without the key can excuse missing rows.

    Only appended to, by the owner of the tables, in the transaction that drops the month.
    """

    month = models.DateField(_("month"), primary_key=True)
    """its first day"""
    retired_at = models.DateTimeField(_("dropped"))
    event = models.UUIDField(_("event"))
    export = models.TextField(_("export"))
    """name of its files"""
    rows = models.BigIntegerField(_("entries"))
    sha256 = models.TextField()
    """of the export's compressed file"""
    whole = models.JSONField(default=list)
    """``[[first, last], …]``: seals all of whose rows are gone"""
    parts = models.JSONField(default=list)
    """``[[seal, [[first, last], …]], …]``: places among the leaves of seals that reach beyond the month"""
    signature = models.TextField()
    """Ed25519 over all of the above, see `audit.retirements`"""

    class Meta:
        db_table = "audit_retirement"
        ordering = ("month",)
        verbose_name = _("dropped month")
        verbose_name_plural = _("dropped months")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class Hold(models.Model):
    """Nothing of this project or actor is retired while it stands."""

    class Of(models.TextChoices):
        PROJECT = "project", _("Project")
        ACTOR = "actor", _("Actor")

    of = models.TextField(_("of"), choices=Of.choices)
    name = models.TextField(_("name"))
    """a project's name or an actor's id"""
    reason = models.TextField(_("reason"))
    placed_by = models.TextField(_("placed by"))
    placed_at = models.DateTimeField(_("placed"), auto_now_add=True)

    class Meta:
        db_table = "audit_hold"
        verbose_name = _("legal hold")
        verbose_name_plural = _("legal holds")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["of", "name"], name="audit_hold_once")]

    def __str__(self) -> str:
        return f"{self.of} {self.name}"
