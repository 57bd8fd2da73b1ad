"""The register, partitioned by month. Django keeps the model's state; the table is made by hand because it cannot partition."""

from django.db import migrations, models

import inference.contract.ids

CREATE = """
CREATE TABLE audit_event (
    id uuid NOT NULL,
    kind text NOT NULL,
    operation text NOT NULL,
    project text NOT NULL,
    request_id text NOT NULL,
    parent_id uuid,
    writer text NOT NULL,
    writer_seq bigint NOT NULL,
    actor_type text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    auth_method text NOT NULL,
    target_type text NOT NULL,
    target_id text NOT NULL,
    target_name text NOT NULL,
    changes jsonb,
    at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    source_ip inet,
    host text NOT NULL,
    replica text NOT NULL,
    reason text NOT NULL,
    source text NOT NULL,
    client text NOT NULL,
    route text NOT NULL,
    model_version text NOT NULL,
    detail jsonb,
    input_digest bytea,
    output_digest bytea,
    prompt_tokens integer,
    completion_tokens integer,
    status text NOT NULL,
    status_code integer,
    PRIMARY KEY (at, id)
) PARTITION BY RANGE (at);
CREATE TABLE audit_event_default PARTITION OF audit_event DEFAULT;
CREATE INDEX audit_event_id ON audit_event (id);
CREATE INDEX audit_event_project ON audit_event (project, at DESC, id DESC);
CREATE INDEX audit_event_actor ON audit_event (actor_type, actor_id, at DESC);
CREATE INDEX audit_event_target ON audit_event (target_type, target_id, at DESC);
CREATE INDEX audit_event_managed ON audit_event (kind, at DESC, id DESC) WHERE kind NOT IN ('intent', 'outcome');
CREATE INDEX audit_event_request ON audit_event (request_id) WHERE request_id <> '';
"""
DROP = "DROP TABLE audit_event"


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.RunSQL(
            CREATE,
            DROP,
            state_operations=[
                migrations.CreateModel(
                    name="Event",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=inference.contract.ids.uuid7, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        (
                            "kind",
                            models.TextField(
                                choices=[
                                    ("intent", "Intent"),
                                    ("outcome", "Outcome"),
                                    ("management", "Management"),
                                    ("security", "Security"),
                                    ("system", "System"),
                                ],
                                verbose_name="kind",
                            ),
                        ),
                        ("operation", models.TextField(verbose_name="operation")),
                        ("project", models.TextField(blank=True, verbose_name="project")),
                        ("request_id", models.TextField(blank=True, verbose_name="request id")),
                        ("parent_id", models.UUIDField(blank=True, null=True, verbose_name="parent")),
                        ("writer", models.TextField(blank=True, verbose_name="writer")),
                        ("writer_seq", models.BigIntegerField(default=0, verbose_name="writer's counter")),
                        ("actor_type", models.TextField(verbose_name="actor type")),
                        ("actor_id", models.TextField(blank=True, verbose_name="actor id")),
                        ("actor_name", models.TextField(blank=True, verbose_name="actor")),
                        ("auth_method", models.TextField(blank=True, verbose_name="signed in by")),
                        ("target_type", models.TextField(blank=True, verbose_name="target type")),
                        ("target_id", models.TextField(blank=True, verbose_name="target id")),
                        ("target_name", models.TextField(blank=True, verbose_name="target")),
                        ("changes", models.JSONField(blank=True, null=True, verbose_name="changes")),
                        ("at", models.DateTimeField(verbose_name="time")),
                        ("started_at", models.DateTimeField(blank=True, null=True, verbose_name="started")),
                        ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="ended")),
                        ("source_ip", models.GenericIPAddressField(blank=True, null=True, verbose_name="address")),
                        ("host", models.TextField(blank=True, verbose_name="host")),
                        ("replica", models.TextField(blank=True, verbose_name="replica")),
                        ("reason", models.TextField(blank=True, verbose_name="reason")),
                        ("source", models.TextField(blank=True, verbose_name="source")),
                        ("client", models.TextField(blank=True, verbose_name="client")),
                        ("route", models.TextField(blank=True, verbose_name="route")),
                        ("model_version", models.TextField(blank=True, verbose_name="model version")),
                        ("detail", models.JSONField(blank=True, null=True, verbose_name="detail")),
                        ("input_digest", models.BinaryField(blank=True, null=True, verbose_name="digest of the input")),
                        (
                            "output_digest",
                            models.BinaryField(blank=True, null=True, verbose_name="digest of the output"),
                        ),
                        ("prompt_tokens", models.IntegerField(blank=True, null=True, verbose_name="prompt tokens")),
                        (
                            "completion_tokens",
                            models.IntegerField(blank=True, null=True, verbose_name="completion tokens"),
                        ),
                        ("status", models.TextField(blank=True, verbose_name="status")),
                        ("status_code", models.IntegerField(blank=True, null=True, verbose_name="status code")),
                    ],
                    options={
                        "verbose_name": "event",
                        "verbose_name_plural": "events",
                        "db_table": "audit_event",
                        "ordering": ("-at", "-id"),
                        "default_permissions": ("view",),
                    },
                )
            ],
        )
    ]
