"""``manage.py draw_prometheus``: deploy/prometheus/rules.yml and deploy/grafana/signalbox.json, from the presets."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from controlplane.alerting import prometheus

FILES = {"prometheus/rules.yml": prometheus.rules, "grafana/signalbox.json": prometheus.dashboard}


class Command(BaseCommand):
    help = "Draw the rules for Prometheus and the dashboard for Grafana."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        for name, draw in FILES.items():
            path = settings.BASE_DIR / "deploy" / name
            path.write_text(draw(), encoding="utf-8")
            self.stdout.write(str(path))
