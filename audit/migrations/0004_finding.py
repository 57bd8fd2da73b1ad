"""Indexes for every way in which people narrow the register, and a search in its texts, Chinese ones included.

Texts are found by their pairs of characters: no extension is needed, and no language is assumed. Only entries that the
gateway did not write are indexed so: theirs have no reason, and their operations and targets are few and found whole.

Row-level security lets no operator use an index that might tell what it saw, and `@>` is such a one. So the search is a
function of the table's owner that looks below the wall and builds the same wall itself.
"""

from django.db import migrations

WORDS = """
CREATE FUNCTION audit_words(operation text, target_name text, target_id text, actor_name text, reason text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT left(lower(operation || ' ' || target_name || ' ' || target_id || ' ' || actor_name || ' ' || reason), 1000)
$$;
CREATE FUNCTION audit_pairs(said text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT substr(said, place, 2)), '{}')
    FROM generate_series(1, length(said) - 1) AS place
$$;
"""
INDEXES = """
DROP INDEX audit_event_actor_type_actor_id_at_idx;
DROP INDEX audit_event_target_type_target_id_at_idx;
DROP INDEX audit_event_kind_at_id_idx;
CREATE INDEX audit_event_actor ON audit_event (actor_id, at DESC, id DESC);
CREATE INDEX audit_event_actor_name ON audit_event (actor_name, at DESC, id DESC);
CREATE INDEX audit_event_target ON audit_event (target_id, at DESC, id DESC);
CREATE INDEX audit_event_target_name ON audit_event (target_name, at DESC, id DESC);
CREATE INDEX audit_event_operation ON audit_event (operation, at DESC, id DESC);
CREATE INDEX audit_event_kind ON audit_event (kind, at DESC, id DESC);
CREATE INDEX audit_event_source ON audit_event (source, at DESC, id DESC) WHERE source <> 'gateway';
CREATE INDEX audit_event_status ON audit_event (status, at DESC, id DESC) WHERE status NOT IN ('ok', 'accepted');
CREATE INDEX audit_event_said ON audit_event (at DESC, id DESC) WHERE source <> 'gateway';
CREATE INDEX audit_event_words ON audit_event
    USING gin (audit_pairs(audit_words(operation, target_name, target_id, actor_name, reason)))
    WHERE source <> 'gateway';
"""
# `narrowed` holds column -> value; both names and values are quoted, and a column that no filter knows is refused.
# A text that many entries hold is found among the newest ones, in order of time; only what is rare asks the index of
# pairs, whose matches have to be sorted.
SEARCH = """
CREATE FUNCTION audit_search(
    term text, narrowed jsonb, since timestamptz, until timestamptz, newest_first boolean, most integer
) RETURNS SETOF uuid LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    seen text := coalesce(current_setting('signalbox.events_of', true), '');
    said CONSTANT text := 'audit_words(operation, target_name, target_id, actor_name, reason)';
    way CONSTANT text := CASE WHEN newest_first THEN 'DESC' ELSE 'ASC' END;
    wanted text := 'source <> ''gateway''';
    one record;
    found uuid[];
BEGIN
    term := lower(term);
    IF seen <> '*' THEN
        wanted := wanted || format(' AND project = ANY (string_to_array(%L, '',''))', seen);
    END IF;
    IF since IS NOT NULL THEN wanted := wanted || format(' AND at >= %L', since); END IF;
    IF until IS NOT NULL THEN wanted := wanted || format(' AND at <= %L', until); END IF;
    FOR one IN SELECT key, value FROM jsonb_each_text(narrowed) LOOP
        IF NOT one.key = ANY (ARRAY['kind', 'operation', 'project', 'request_id', 'actor_type', 'actor_id',
                'actor_name', 'target_type', 'target_id', 'target_name', 'source', 'status']) THEN
            RAISE 'audit_search: no such filter: %', one.key;
        END IF;
        wanted := wanted || format(' AND %I = %L', one.key, one.value);
    END LOOP;
    EXECUTE format(
        'SELECT array_agg(id) FROM (SELECT id FROM (SELECT id, at, %s AS said FROM public.audit_event_rows'
        ' WHERE %s ORDER BY at %s, id %s LIMIT 4000) AS newest'
        ' WHERE strpos(said, %L) > 0 ORDER BY at %s, id %s LIMIT %s) AS few',
        said, wanted, way, way, term, way, way, most) INTO found;
    IF coalesce(cardinality(found), 0) < most THEN
        IF length(term) > 1 THEN
            wanted := wanted || format(' AND audit_pairs(%s) @> %L::text[]', said, audit_pairs(term));
        END IF;
        EXECUTE format(
            'SELECT array_agg(id) FROM (SELECT id FROM public.audit_event_rows WHERE %s AND strpos(%s, %L) > 0'
            ' ORDER BY at %s, id %s LIMIT %s) AS few',
            wanted, said, term, way, way, most) INTO found;
    END IF;
    RETURN QUERY SELECT unnest(found);
END
$$;
"""
TEAR_DOWN = """
DROP FUNCTION audit_search(text, jsonb, timestamptz, timestamptz, boolean, integer);
DROP INDEX audit_event_words, audit_event_said, audit_event_status, audit_event_source, audit_event_kind, audit_event_operation, audit_event_target_name,
    audit_event_actor_name, audit_event_target, audit_event_actor;
DROP FUNCTION audit_pairs(text);
DROP FUNCTION audit_words(text, text, text, text, text);
CREATE INDEX audit_event_actor_type_actor_id_at_idx ON audit_event (actor_type, actor_id, at DESC);
CREATE INDEX audit_event_target_type_target_id_at_idx ON audit_event (target_type, target_id, at DESC);
CREATE INDEX audit_event_kind_at_id_idx ON audit_event (kind, at DESC, id DESC) WHERE kind NOT IN ('intent', 'outcome');
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_bodies")]
    operations = [migrations.RunSQL(WORDS + INDEXES + SEARCH, TEAR_DOWN)]
