"""The Celery application: ``celery -A config.celery worker`` and ``beat``."""

import os

from celery import Celery

from workers.schedule import SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from controlplane.access import scope

scope.see_all()  # workers look after the objects of all projects

app = Celery("signalbox")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["workers"], related_name="tasks")
app.conf.beat_schedule = SCHEDULE
