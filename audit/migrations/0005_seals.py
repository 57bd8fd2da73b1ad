"""Seals over the register, and what holds them and it append-only.

The indexes are made anew: what is looked up by time needs no id behind it, and the primary key, which only repeated what
two others have, makes room for the numbers of writers, by which rows are sealed and verified.
"""

from django.db import migrations, models

COLUMNS = """
ALTER TABLE audit_event ADD COLUMN region text NOT NULL DEFAULT '', ADD COLUMN ticket text NOT NULL DEFAULT '';
"""
DROP_COLUMNS = "ALTER TABLE audit_event DROP COLUMN region, DROP COLUMN ticket"

# The table above has constraints and indexes of its own, to which those of the rows are attached: dropped together.
# Those of the search have few rows and stay.
NO_INDEXES = """
DO $$
DECLARE item record;
BEGIN
    FOR item IN SELECT conrelid::regclass AS place, conname AS name FROM pg_constraint
        WHERE conrelid IN ('audit_event'::regclass, 'audit_event_rows'::regclass) AND contype = 'p' AND conparentid = 0
    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', item.place, item.name); END LOOP;
    FOR item IN SELECT c.oid::regclass AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = 'audit_event'::regclass
        AND c.relname NOT IN ('audit_event_words', 'audit_event_said', 'audit_event_status', 'audit_event_source')
    LOOP EXECUTE format('DROP INDEX %s', item.name); END LOOP;
END $$;
"""
INDEXES = f"""
{NO_INDEXES}
CREATE INDEX audit_event_at ON audit_event (at);
CREATE INDEX audit_event_id ON audit_event (id);
CREATE UNIQUE INDEX audit_event_writer ON audit_event (writer, writer_seq, at) WHERE writer_seq > 0;
CREATE INDEX audit_event_project ON audit_event (project, at);
CREATE INDEX audit_event_actor ON audit_event (actor_id, at);
CREATE INDEX audit_event_actor_name ON audit_event (actor_name, at);
CREATE INDEX audit_event_target ON audit_event (target_id, at);
CREATE INDEX audit_event_target_name ON audit_event (target_name, at);
CREATE INDEX audit_event_operation ON audit_event (operation, at);
CREATE INDEX audit_event_kind ON audit_event (kind, at);
CREATE INDEX audit_event_request ON audit_event (request_id) WHERE request_id <> '';
CREATE INDEX audit_event_unnumbered ON audit_event (at) WHERE writer_seq <= 0;
"""
DROP_INDEXES = f"""
{NO_INDEXES}
ALTER TABLE audit_event ADD PRIMARY KEY (at, id);
CREATE INDEX audit_event_id ON audit_event (id);
CREATE INDEX audit_event_project ON audit_event (project, at DESC, id DESC);
CREATE INDEX audit_event_actor ON audit_event (actor_id, at DESC, id DESC);
CREATE INDEX audit_event_actor_name ON audit_event (actor_name, at DESC, id DESC);
CREATE INDEX audit_event_target ON audit_event (target_id, at DESC, id DESC);
CREATE INDEX audit_event_target_name ON audit_event (target_name, at DESC, id DESC);
CREATE INDEX audit_event_operation ON audit_event (operation, at DESC, id DESC);
CREATE INDEX audit_event_kind ON audit_event (kind, at DESC, id DESC);
CREATE INDEX audit_event_request ON audit_event (request_id) WHERE request_id <> '';
"""

# ALWAYS: not even a session that replicates passes. Who owns the tables can still take triggers away; what he changes
# then, seals tell.
APPEND_ONLY = """
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %: the register is only appended to', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
DO $$
DECLARE place regclass;
BEGIN
    FOR place IN SELECT relid FROM pg_partition_tree('audit_event') UNION ALL VALUES ('audit_seal'::regclass), ('audit_checkpoint')
    LOOP
        EXECUTE format('CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON %s EXECUTE FUNCTION audit_refuse()', place);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER audit_refuse', place);
    END LOOP;
END $$;
"""
DROP_APPEND_ONLY = "DROP FUNCTION audit_refuse() CASCADE"

# A seal is taken from the newest epoch only, and only behind the last one.
FENCE = """
ALTER TABLE audit_seal ALTER COLUMN leaves SET STORAGE EXTERNAL;
CREATE FUNCTION audit_fence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE now_sealing bigint; last record;
BEGIN
    SELECT epoch INTO now_sealing FROM audit_sealer WHERE id = 1 FOR SHARE;
    IF now_sealing IS DISTINCT FROM NEW.epoch THEN
        RAISE EXCEPTION 'epoch % is over, % seals now', NEW.epoch, now_sealing USING ERRCODE = 'SB001';
    END IF;
    SELECT number, hash INTO last FROM audit_seal ORDER BY number DESC LIMIT 1;
    IF NEW.number <> coalesce(last.number, 0) + 1 OR NEW.prev <> coalesce(last.hash, decode(repeat('00', 32), 'hex')) THEN
        RAISE EXCEPTION 'seal % does not follow the last one', NEW.number USING ERRCODE = 'SB002';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_fence BEFORE INSERT ON audit_seal FOR EACH ROW EXECUTE FUNCTION audit_fence();
ALTER TABLE audit_seal ENABLE ALWAYS TRIGGER audit_fence;
"""
DROP_FENCE = "DROP FUNCTION audit_fence() CASCADE"

# Whoever writes number 1 is a writer from then on. Those of before are known by their first number.
WRITERS = """
CREATE FUNCTION audit_add_writer() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO audit_writer (name, first_seen, last_seen, sealed, missing) VALUES (NEW.writer, now(), now(), 0, '[]')
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_add_writer AFTER INSERT ON audit_event FOR EACH ROW WHEN (NEW.writer_seq = 1)
    EXECUTE FUNCTION audit_add_writer();
INSERT INTO audit_writer (name, first_seen, last_seen, sealed, missing)
    SELECT writer, min(at), max(at), min(writer_seq) - 1, '[]' FROM audit_event_rows WHERE writer_seq > 0 GROUP BY writer;
"""
DROP_WRITERS = "DROP FUNCTION audit_add_writer() CASCADE"


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0004_finding"),
    ]

    operations = [
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False, verbose_name="seal")),
                ("signed_at", models.DateTimeField(verbose_name="signed")),
                ("line", models.TextField(verbose_name="line")),
            ],
            options={
                "verbose_name": "checkpoint",
                "verbose_name_plural": "checkpoints",
                "db_table": "audit_checkpoint",
                "ordering": ("-number",),
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SealerLease",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("epoch", models.BigIntegerField(default=0)),
                ("holder", models.TextField(default="")),
                ("until", models.DateTimeField()),
                ("trouble", models.TextField(default="")),
            ],
            options={
                "db_table": "audit_sealer",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Verification",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("next_number", models.BigIntegerField(default=1)),
                ("round_began", models.DateTimeField(null=True)),
                ("last_round", models.DateTimeField(null=True)),
                ("checked_at", models.DateTimeField(null=True)),
                ("failed_at", models.DateTimeField(null=True)),
                ("failure", models.TextField(default="")),
            ],
            options={
                "db_table": "audit_verification",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Writer",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False, verbose_name="writer")),
                ("first_seen", models.DateTimeField(verbose_name="first seen")),
                ("last_seen", models.DateTimeField(verbose_name="last seen")),
                ("sealed", models.BigIntegerField(default=0, verbose_name="sealed up to")),
                ("missing", models.JSONField(default=list, verbose_name="missing")),
            ],
            options={
                "verbose_name": "writer",
                "verbose_name_plural": "writers",
                "db_table": "audit_writer",
                "default_permissions": (),
            },
        ),
        migrations.RunSQL(
            COLUMNS,
            DROP_COLUMNS,
            state_operations=[
                migrations.AddField(
                    model_name="event",
                    name=name,
                    field=models.TextField(blank=True, verbose_name=name),
                )
                for name in ("region", "ticket")
            ],
        ),
        migrations.CreateModel(
            name="Hold",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("of", models.TextField(choices=[("project", "Project"), ("actor", "Actor")], verbose_name="of")),
                ("name", models.TextField(verbose_name="name")),
                ("reason", models.TextField(verbose_name="reason")),
                ("placed_by", models.TextField(verbose_name="placed by")),
                ("placed_at", models.DateTimeField(auto_now_add=True, verbose_name="placed")),
            ],
            options={
                "verbose_name": "legal hold",
                "verbose_name_plural": "legal holds",
                "db_table": "audit_hold",
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("of", "name"), name="audit_hold_once")],
            },
        ),
        migrations.CreateModel(
            name="Seal",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False, verbose_name="number")),
                ("epoch", models.BigIntegerField(verbose_name="epoch")),
                ("sealed_at", models.DateTimeField(verbose_name="sealed")),
                ("ranges", models.JSONField(verbose_name="ranges")),
                ("gaps", models.JSONField(default=list, verbose_name="gaps")),
                ("count", models.IntegerField(verbose_name="entries")),
                ("total", models.BigIntegerField(verbose_name="entries in all")),
                ("first_at", models.DateTimeField(null=True, verbose_name="first entry")),
                ("last_at", models.DateTimeField(null=True, verbose_name="last entry")),
                ("root", models.BinaryField(verbose_name="root")),
                ("prev", models.BinaryField(verbose_name="seal before")),
                ("hash", models.BinaryField(verbose_name="hash")),
                ("leaves", models.BinaryField(verbose_name="leaf hashes")),
            ],
            options={
                "verbose_name": "seal",
                "verbose_name_plural": "seals",
                "db_table": "audit_seal",
                "ordering": ("-number",),
                "default_permissions": (),
                "indexes": [models.Index(fields=["last_at"], name="audit_seal_last")],
            },
        ),
        migrations.RunSQL(INDEXES, DROP_INDEXES),
        migrations.RunSQL(APPEND_ONLY, DROP_APPEND_ONLY),
        migrations.RunSQL(FENCE, DROP_FENCE),
        migrations.RunSQL(WRITERS, DROP_WRITERS),
    ]
