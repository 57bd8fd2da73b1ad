import json
from typing import Any

from django.db import migrations

import controlplane.models.sealed
from controlplane.sealing import reveal, seal


def _deployments(apps: Any, schema_editor: Any) -> Any:
    return apps.get_model("controlplane", "Deployment").objects.using(schema_editor.connection.alias)


def seal_all(apps: Any, schema_editor: Any) -> None:
    """The values lay there as they were; from now on the master key is needed to read them."""
    for deployment in _deployments(apps, schema_editor).exclude(engine_env={}):
        seal(deployment, "sealed_env", json.dumps(deployment.engine_env))
        deployment.save(update_fields=["sealed_env"])


def unseal_all(apps: Any, schema_editor: Any) -> None:
    for deployment in _deployments(apps, schema_editor):
        deployment.engine_env = json.loads(reveal(deployment, "sealed_env") or "{}")
        deployment.save(update_fields=["engine_env"])


class Migration(migrations.Migration):
    dependencies = [
        ("controlplane", "0013_indexes_of_lists"),
    ]

    operations = [
        migrations.AddField("deployment", "sealed_env", controlplane.models.sealed.SealedField()),
        migrations.RunPython(seal_all, unseal_all),
        migrations.RemoveField("deployment", "engine_env"),
    ]
