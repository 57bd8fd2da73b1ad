"""Puts our own site in the place of Django's default one, and our Celery application in the place of its default."""

from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AdminConfig):
    default_site = "controlplane.site.ConsoleSite"

    def ready(self) -> None:
        """Without our application Celery would send its messages to a broker that nobody runs, and wait for it."""
        super().ready()
        from config import celery  # noqa: F401, PLC0415 - models are there only now
