"""A rule may ask for so many requests before it judges. The shipped ones do, unless somebody gave them other values."""

import django.core.validators
from django.db import migrations, models

ENOUGH = {"ttft-p99": 20, "e2e-p99": 20, "failure-rate": 20, "success-rate": 20}


def floor_presets(apps, schema_editor):
    rules = apps.get_model("controlplane", "AlertRule").objects.using(schema_editor.connection.alias)
    for preset, least in ENOUGH.items():
        rules.filter(preset=preset, min_requests=0).update(min_requests=least)
    # One scrape at a bad moment is no lag: it has to be there for a whole minute.
    untouched = rules.filter(preset="register-lag", aggregation="max", window_seconds=300)
    untouched.update(aggregation="min", window_seconds=60)


class Migration(migrations.Migration):
    dependencies = [("controlplane", "0022_guard")]

    operations = [
        migrations.AddField(
            model_name="alertrule",
            name="min_requests",
            field=models.PositiveIntegerField(
                default=0,
                help_text=(
                    "Fewer in the window are not judged: one failure of one is no rate. For shares and percentiles."
                ),
                validators=[django.core.validators.MaxValueValidator(1_000_000)],
                verbose_name="requests at least",
            ),
        ),
        migrations.RunPython(floor_presets, migrations.RunPython.noop, elidable=True),
    ]
