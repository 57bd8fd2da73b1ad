import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("controlplane", "0002_limits"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="cidrs",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=43),
                blank=True,
                help_text="Networks from which it may be used; empty means anywhere.",
                null=True,
                size=None,
                verbose_name="networks",
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="endpoints",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=32),
                blank=True,
                help_text="What it may call, such as chat or embedding; empty means everything.",
                null=True,
                size=None,
                verbose_name="endpoints",
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="media_hosts",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=255),
                blank=True,
                default=list,
                help_text="Hosts from which its requests may let engines fetch images and sound; none: data URLs only.",
                size=None,
                verbose_name="media hosts",
            ),
        ),
    ]
