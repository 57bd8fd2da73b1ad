"""Puts our own site in the place of Django's default admin site."""

from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AdminConfig):
    default_site = "controlplane.site.ConsoleSite"
