"""Finding in a register of ten million entries: pages narrowed in every way, texts, facets, the story of a request.

    python -m bench.register_finding                10,000,000 entries over ninety days (some 10 GB, gone afterwards)
    python -m bench.register_finding --rows 300000
    python -m bench.register_finding --only pages   or exports

The entries are made inside PostgreSQL and the indexes behind them; nine of ten are the gateway's. A console of its own
answers over HTTP, one request at a time; then all of it is sealed and exported with what proves it. Bars: p95 of
150 ms for a page, 50 ms for a story; an export as JSON Lines 50,000 rows/s and 200 MiB. The ratio is to
`GET /api/v1/openapi.json`, which asks no database, in the same run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg

from bench.console import console, environment
from bench.contestants import ROOT
from bench.lists import quantile, timed

ROWS = 10_000_000
ROUNDS = 25
PAGE_MS, STORY_MS = 150.0, 50.0
EXPORT_ROWS, EXPORT_MIB = 50_000, 200
FILL = """
INSERT INTO audit_event_rows (id, kind, operation, project, request_id, writer, writer_seq, actor_type, actor_id,
    actor_name, auth_method, target_type, target_id, target_name, changes, at, started_at, ended_at, source_ip, host,
    replica, reason, source, client, route, model_version, detail, input_digest, output_digest, prompt_tokens,
    completion_tokens, status, status_code)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3)
        || '8' || substr(md5(n::text), 4, 15))::uuid,
    CASE WHEN gateway THEN CASE WHEN n % 97 = 0 THEN 'security' ELSE 'outcome' END ELSE 'management' END,
    CASE WHEN gateway THEN (ARRAY['inference.chat', 'inference.chat', 'inference.completion', 'inference.embedding'])
             [1 + n % 4]
         ELSE (ARRAY['deployment.scaled', 'route.changed', 'api_key.created', 'api_key.revoked', 'user.signed_in'])
             [1 + n / 10 % 5] END,
    'project-' || (n * 7919 % 100), 'req-' || md5('r' || n), 'bench/1/' || (n % 8), (n + 7) / 8,
    CASE WHEN gateway THEN 'api_key' ELSE 'user' END,
    CASE WHEN gateway THEN 'key-' || (n * 104729 % 5000) ELSE (n * 31 % 200)::text END,
    CASE WHEN gateway THEN 'service ' || (n * 104729 % 5000) ELSE 'person-' || (n * 31 % 200) END,
    'bearer', CASE WHEN gateway THEN 'route' ELSE 'deployment' END, 'model-' || (n * 13 % 50),
    'model-' || (n * 13 % 50), NULL, at, at - interval '2 s', at, '10.0.0.1', 'gw-1', 'model-0',
    CASE WHEN gateway THEN '' WHEN n % 10000 = 0 THEN '周末促销扩容' ELSE 'change ' || n || ' as planned 按计划' END,
    CASE WHEN gateway THEN 'gateway' ELSE (ARRAY['ui', 'api', 'cli'])[1 + n / 10 % 3] END, 'openai-python/2.8',
    'model-' || (n * 13 % 50), 'v1', '{"attempts": 1, "routing": "weighted", "deployment": "model"}',
    sha256(int8send(n)), sha256(int8send(-n)), 100, 50,
    CASE WHEN n % 97 = 0 THEN 'rate_limited' WHEN n % 4999 = 0 THEN 'upstream_broke' ELSE 'ok' END,
    CASE WHEN n % 97 = 0 THEN 429 ELSE 200 END
FROM (SELECT n, n % 10 <> 0 AS gateway, now() - interval '90 days' * (1 - n / %(rows)s::float8) AS at
      FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n) AS made
"""
QUESTIONS = {
    "newest": "",
    "a project": "project=project-7",
    "a project, one day a month ago": "project=project-7&since={month}&until={month_and_a_day}",
    "a kind": "kind=management",
    "an operation": "operation=api_key.revoked",
    "an operation of a project": "operation=api_key.revoked&project=project-70",
    "an actor": "actor_name=person-30",
    "a key": "actor_id=key-77",
    "a target": "target_name=model-13",
    "a status": "status=upstream_broke",
    "refusals of a project": "status=rate_limited&project=project-7",
    "a source": "source=cli",
    "an hour": "since={month}&until={month_and_an_hour}",
    "a rare text": "search=" + quote("促销"),
    "a common text": "search=planned",
    "a text of a project": "search=planned&project=project-10",
    "a text that is nowhere": "search=is-nowhere-to-be-found",
}


def fill(url: str, rows: int) -> None:
    """Rows first, indexes behind them, statistics last."""
    with psycopg.connect(url, autocommit=True) as owner:
        kept = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'audit_event' AND indexdef NOT LIKE %s"
        indexes = owner.execute(kept, ["%UNIQUE%"]).fetchall()
        for name, _ in indexes:
            owner.execute(f'DROP INDEX "{name}"'.encode())
        told = _clock()
        step = max(1, rows // 20)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda first: _part(url, rows, first, min(first + step, rows)), range(0, rows, step)))
        told("entries")
        _side_by_side(url, [definition.replace(" ON ONLY ", " ON ") for _, definition in indexes])
        told(f"{len(indexes)} indexes")
        months = owner.execute("SELECT relid::regclass::text FROM pg_partition_tree('audit_event') WHERE isleaf")
        _side_by_side(url, [f"VACUUM (ANALYZE) {month}" for (month,) in months])
        owner.execute("ANALYZE audit_event")
        told("statistics")


def _side_by_side(url: str, statements: list[str]) -> None:
    """Two at a time, each on one core."""

    def run(statement: str) -> None:
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute("SET maintenance_work_mem = '512MB'; SET max_parallel_maintenance_workers = 0")
            owner.execute(statement.encode())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, statements))


def _clock() -> Callable[[str], None]:
    """Tells how long each thing took."""
    began = [time.perf_counter()]

    def told(what: str) -> None:
        began.append(time.perf_counter())
        print(f"  {what}: {began[-1] - began[-2]:.0f} s", flush=True)

    return told


def _part(url: str, rows: int, first: int, last: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(fill_statement(rows, first, last).encode())


def fill_statement(rows: int, first: int, last: int) -> str:
    """Makes those of the rows behind `first`, up to `last`."""
    values = {"rows": rows, "first": first + 1, "last": last}
    return reduce(lambda statement, name: statement.replace(f"%({name})s", str(values[name])), values, FILL)


def asked(client: httpx.Client, path: str) -> tuple[list[float], dict[str, object]]:
    """Milliseconds of `ROUNDS` requests, and the last answer."""
    found = []
    for _ in range(ROUNDS):
        took, answer = timed(client, path)
        answer.raise_for_status()
        found.append(took)
    return found, answer.json()


def measure(url: str, token: str, moments: dict[str, str]) -> bool:
    client = httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60)
    base = statistics.median(timed(client, "/openapi.json")[0] for _ in range(50))
    print(f"GET /openapi.json, which asks no database: {base:.1f} ms; load average {os.getloadavg()[0]:.1f}")
    held, every, shown = True, [], ""
    print(f"{'page':34} {'rows':>5} {'p50 ms':>7} {'p95 ms':>7} {'p95/base':>8}")
    for name, query in QUESTIONS.items():
        took, page = asked(client, f"/audit/events?{query.format(**moments)}".rstrip("?"))
        every += took
        results: list[dict[str, str]] = page["results"]  # type: ignore[assignment]
        shown = shown or results[0]["request_id"]
        p95 = quantile(took, 0.95)
        print(f"{name:34} {len(results):>5} {quantile(took, 0.5):>7.1f} {p95:>7.1f} {p95 / base:>8.1f}", flush=True)
        if page["next"]:
            every += asked(client, str(page["next"]))[0]
    for name, path, bar in (
        ("all pages, and the ones behind", "", PAGE_MS),
        ("facets of a project", "/audit/events/facets?project=project-7", PAGE_MS),
        ("the story of a request", f"/audit/requests/{shown}", STORY_MS),
    ):
        took = asked(client, path)[0] if path else every
        p95 = quantile(took, 0.95)
        held = held and p95 <= bar
        print(f"{name:34} p50 {quantile(took, 0.5):.1f} ms, p95 {p95:.1f} ms, bar {bar:.0f} ms")
    return held


def seal(env: dict[str, str]) -> None:
    """All entries, by the sealer, 20,000 with each seal; an export proves them."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", _SEALS], cwd=ROOT, env=env, check=True)
    print(f"sealed in {time.perf_counter() - began:.0f} s", flush=True)


def export(env: dict[str, str], rows: int) -> bool:
    """Write all of it as the command does; the figures are of its own process, interpreter and all."""
    held = True
    for form in ("jsonl", "csv"):
        output = Path(env["SIGNALBOX_HOME"]) / f"export.{form}.gz"
        argv = [sys.executable, str(ROOT / "manage.py"), "export_audit", "--format", form, "-o", str(output)]
        began = time.perf_counter()
        process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took = time.perf_counter() - began
        size, memory = output.stat().st_size / 2**20, used.ru_maxrss / 1024
        manifest = json.loads(output.with_name("export.manifest.json").read_bytes())
        proven = manifest["count"] - manifest["unsealed"]
        print(
            f"export as {form}: {rows / took:,.0f} rows/s (bar 50,000), {memory:.0f} MiB of memory (bar 200), "
            f"{took:.0f} s, {size:,.0f} MiB; {used.ru_utime + used.ru_stime:.0f} s of CPU of its own; "
            f"{proven:,} are proven"
        )
        held = held and not process.returncode and memory <= EXPORT_MIB and proven == rows
        held = held and (form == "csv" or rows / took >= EXPORT_ROWS)
        for path in output.parent.glob("export.*"):
            path.unlink()
    return held


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--only", choices=("pages", "exports"))
    asked = parser.parse_args()
    rows, held = asked.rows, True
    with environment() as env:
        made = subprocess.run(
            [sys.executable, "-m", "bench.furnish", "20", "20"], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE
        )
        owner = env.get("DATABASE_OWNER_URL", env["DATABASE_URL"])
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", _PARTITIONS], cwd=ROOT, env=env, check=True)
        fill(owner, rows)
        with psycopg.connect(owner) as connection:
            size, *ends = connection.execute(_FACTS.encode()).fetchone() or ()
        print(f"{rows:,} entries made in {time.perf_counter() - began:.0f} s, {size}")
        moments = dict(zip(("month", "month_and_an_hour", "month_and_a_day"), map(quote, ends), strict=True))
        if asked.only != "exports":
            with console(env) as (url, _pid):
                held = measure(url, json.loads(made.stdout)["owner"], moments)
        if asked.only != "pages":
            seal(env)
            held = export(env, rows) and held
    print("every bar holds" if held else "a bar does not hold")
    sys.exit(not held)


_PARTITIONS = """
import django; django.setup()
from datetime import timedelta
from django.utils import timezone
from audit.partitions import ensure_partitions
from controlplane.database_rights import owner_alias
ensure_partitions(timezone.now() - timedelta(days=92), owner_alias())
"""
_SEALS = """
import django; django.setup()
from controlplane.access.scope import see_all
see_all()
from django.utils import timezone
from audit.checkpoints import write_checkpoint
from audit.sealer import seal_next, take_lease
seal_next(take_lease("bench"), sweep=True)
while seal := seal_next(take_lease("bench")):
    if not seal.number % 60:
        write_checkpoint(timezone.now())
write_checkpoint(timezone.now())
"""
_FACTS = """
SELECT pg_size_pretty(sum(pg_total_relation_size(relid))),
    to_char(now() AT TIME ZONE 'UTC' - interval '30 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    to_char(now() AT TIME ZONE 'UTC' - interval '719 hours', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    to_char(now() AT TIME ZONE 'UTC' - interval '29 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM pg_partition_tree('audit_event')
"""

if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
