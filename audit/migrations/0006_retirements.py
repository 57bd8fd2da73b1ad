"""Months that were dropped, with the signed statements that stand in their place."""

from django.db import migrations, models

APPEND_ONLY = """
CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_retirement EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_retirement ENABLE ALWAYS TRIGGER audit_refuse;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_seals")]

    operations = [
        migrations.CreateModel(
            name="Retirement",
            fields=[
                ("month", models.DateField(primary_key=True, serialize=False, verbose_name="month")),
                ("retired_at", models.DateTimeField(verbose_name="dropped")),
                ("event", models.UUIDField(verbose_name="event")),
                ("export", models.TextField(verbose_name="export")),
                ("rows", models.BigIntegerField(verbose_name="entries")),
                ("sha256", models.TextField()),
                ("whole", models.JSONField(default=list)),
                ("parts", models.JSONField(default=list)),
                ("signature", models.TextField()),
            ],
            options={
                "verbose_name": "dropped month",
                "verbose_name_plural": "dropped months",
                "db_table": "audit_retirement",
                "ordering": ("month",),
                "default_permissions": (),
            },
        ),
        migrations.RunSQL(APPEND_ONLY, migrations.RunSQL.noop),
    ]
