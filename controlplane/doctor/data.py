"""PostgreSQL, the register in it, and Redis."""

from datetime import UTC, datetime

from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from redis.exceptions import RedisError

from audit.operations import Operation
from audit.partitions import month_after
from audit.record import Target, record
from controlplane import actors, publish
from controlplane.budgets import discrepancies
from controlplane.doctor.findings import Finding, fail, first_line, ok, warn
from controlplane.models import Limit, ModelVersion
from inference.contract.events import ROWS, TABLE

OLDEST_POSTGRESQL = 140000
_NO_DATABASE = "needs PostgreSQL"


def postgresql() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version_num")
            number = int(cursor.fetchone()[0])
    except DatabaseError as exc:
        return fail("postgresql", f"does not answer ({first_line(exc)})", "start it, or correct DATABASE_URL")
    if number < OLDEST_POSTGRESQL:
        return fail("postgresql", f"version {number // 10_000} is too old", "use PostgreSQL 14 or newer")
    return ok("postgresql", f"version {number // 10_000} answers")


def migrations() -> Finding:
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return fail("migrations", "unknown", _NO_DATABASE)
    if waiting:
        return fail("migrations", f"{len(waiting)} not applied", "run manage.py migrate")
    return ok("migrations", "all applied")


def register() -> Finding:
    """The process's role must be able to append; the attempt is undone, so its operation does not matter."""
    try:
        with transaction.atomic():
            record(Operation.PROJECT_CREATED, actor=actors.command_line(), target=Target("doctor", "", "doctor"))
            transaction.set_rollback(True)
    except DatabaseError as exc:
        what = f"cannot be written ({first_line(exc)})"
        return fail("register", what, "no request is answered without it: see PostgreSQL's log")
    return ok("register", "can be written")


def partitions() -> Finding:
    now = datetime.now(UTC)
    following = month_after(now.date().replace(day=1))
    wanted = {f"{TABLE}_{month:%Y_%m}" for month in (now.date(), following)}
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(%s)", [ROWS])
            there = {name.rpartition(".")[2] for (name,) in cursor.fetchall()}
    except DatabaseError:
        return fail("partitions", "unknown", _NO_DATABASE)
    if missing := sorted(wanted - there):
        return warn(
            "partitions", f"{', '.join(missing)} missing", "the worker makes them nightly; now: run manage.py migrate"
        )
    return ok("partitions", "this month's and the next are there")


_ROLE = """
SELECT rolsuper OR rolbypassrls, EXISTS (SELECT FROM pg_class WHERE oid = to_regclass(%s) AND relowner = pg_roles.oid)
FROM pg_roles WHERE rolname = current_user
"""


def role() -> Finding:
    """The processes' own role must be bound by row-level security, and should not own what it may only append to."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_ROLE, [TABLE])
            unbound, owns = cursor.fetchone()
    except DatabaseError:
        return fail("role", "unknown", _NO_DATABASE)
    return role_finding(unbound=unbound, owns=owns)


def role_finding(*, unbound: bool, owns: bool) -> Finding:
    if unbound:
        return fail(
            "role", "DATABASE_URL names a role that row-level security does not bind (superuser or BYPASSRLS)",
            "give the processes a plain role, and its owner's URL to DATABASE_OWNER_URL",
        )  # fmt: skip
    if owns:
        return warn(
            "role", "the processes own the register that they may only append to",
            "give migrations a role of their own in DATABASE_OWNER_URL",
        )  # fmt: skip
    return ok("role", "bound by row-level security, owns no table")


def redis() -> Finding:
    try:
        version = publish.redis_client().info("server").get("redis_version", "?")
    except RedisError as exc:
        return fail("redis", f"does not answer ({first_line(exc)})", "start it, or correct REDIS_URL")
    return ok("redis", f"version {version} answers")


def tables() -> Finding:
    try:
        published = publish.published()
    except RedisError:
        return fail("tables", "unknown", "needs Redis")
    if not published:
        return fail("tables", "the gateway's tables are not in Redis", "the worker publishes them: see worker and beat")
    return ok("tables", "published for the gateway")


def budgets() -> Finding:
    """The ledger keeps every sum twice; and a budget of cost needs prices to count by."""
    try:
        wrong = discrepancies()
        priced = ModelVersion.objects.exclude(prompt_price_micros=0, completion_price_micros=0)
        costs = Limit.objects.exclude(cost_micros_per_day=None, cost_micros_per_month=None).exists()
        unpriced = sorted(
            str(version)
            for version in ModelVersion.objects.filter(deployments__targets__weight__gt=0)
            .exclude(pk__in=priced).select_related("model").distinct()
        ) if costs else []  # fmt: skip
    except DatabaseError:
        return fail("budgets", "unknown", _NO_DATABASE)
    if wrong:
        what = f"{len(wrong)} accounts of the ledger do not add up, the first of limit {wrong[0][0]}"
        return fail("budgets", what, "report this, with that limit's rows of budget_account, _slice and _line")
    if unpriced:
        what = f"there are budgets of cost, but {', '.join(unpriced[:5])} cost nothing"
        return warn("budgets", what, "set their prices, or nothing is counted against those budgets")
    return ok("budgets", "the ledger adds up")
