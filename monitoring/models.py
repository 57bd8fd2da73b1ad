"""Where samples lie. `monitoring.samples` alone writes series and samples, `monitoring.ticks` the ticks.

The samples themselves are a partitioned table that Django does not know (see the first migration):
``monitoring_sample (series, at, values)``.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Series(models.Model):
    """What samples have in common. A counter's are kept without its resets: what was read plus `base`.

    A histogram is one series; its values are the sum and then the count of each bucket, the infinite one last.
    """

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=64, unique=True)
    """a digest of all that follows up to `bounds`"""
    metric = models.CharField(max_length=40)
    target = models.CharField(max_length=300)
    deployment = models.CharField(max_length=63, blank=True)
    replica = models.CharField(max_length=63, blank=True)
    project = models.CharField(max_length=63, blank=True)
    route = models.CharField(max_length=128, blank=True)
    part = models.CharField(max_length=200, blank=True)
    """an HTTP status, or which GPU"""
    bounds = ArrayField(models.FloatField(), default=list)
    raw = ArrayField(models.FloatField(), default=list)
    """what was read last"""
    base = ArrayField(models.FloatField(), default=list)
    """what counters had reached before they last began anew"""
    last_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=("metric", "last_at"), name="series_of_metric"),)
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.metric} of {self.target}"


class Tick(models.Model):
    """How far periodic work has come: whoever moves it on does the work of that tick, and nobody else."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.at}"
