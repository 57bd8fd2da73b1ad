"""The Celery application of ``celery -A config.celery worker`` and ``beat``; the console sends its messages by it."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

from workers.schedule import SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from controlplane.access import scope

app = Celery("signalbox")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["workers"], related_name="tasks")
app.conf.beat_schedule = SCHEDULE


@worker_init.connect
def see_all(**_: Any) -> None:
    """Workers look after the objects of all projects; the console, which only sends messages, does not."""
    scope.see_all()
