from dataclasses import asdict

from django.db import transaction
from django.utils.translation import override

from audit.record import Actor
from controlplane.actions.create_alert_rule import create_alert_rule
from controlplane.alerting.presets import PRESETS
from controlplane.models import AlertRule


@transaction.atomic
def add_alert_presets(*, actor: Actor, reason: str = "") -> list[AlertRule]:
    """Lay down those rules that ship and are not there. Their names are English, and told in the reader's language."""
    there = set(AlertRule.objects.filter(project=None).values_list("name", flat=True))
    slugs = set(AlertRule.objects.exclude(preset="").values_list("preset", flat=True))
    made = []
    with override("en"):
        for preset in PRESETS:
            fields = asdict(preset)
            fields.pop("promql")
            fields.pop("requests")
            slug, name = fields.pop("slug"), str(fields.pop("name"))
            if slug not in slugs and name not in there:
                advice = str(fields.pop("advice"))
                rule = create_alert_rule(name=name, advice=advice, preset=slug, actor=actor, reason=reason, **fields)
                made.append(rule)
    return made
