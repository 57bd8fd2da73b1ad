"""Fill a console's database: ``python -m bench.furnish 10000 100000``. Prints the tokens of two who may ask, as JSON.

Rows are written past the actions, which would take hours; what they hold is what actions would have written.
"""

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import django
import psycopg

django.setup()

from django.db import connections  # noqa: E402 - Django is set up above

from audit.operations import Operation  # noqa: E402
from controlplane import models as m  # noqa: E402
from controlplane import tokens  # noqa: E402
from controlplane.access import scope  # noqa: E402
from inference.contract import keys  # noqa: E402
from inference.contract.events import COPY_STATEMENT, Event, pack_copy, pack_row  # noqa: E402
from inference.contract.ids import uuid7  # noqa: E402

BATCH = 5_000


def names(count: int, rare: str = "zyxwv") -> Iterator[str]:
    """n-00000, n-00001, …; one in a thousand is named otherwise as well."""
    for number in range(count):
        yield f"n-{number:05d}" + (f"-{rare}" if number % 1000 == 500 else "")


def insert(model: Any, rows: Iterator[Any]) -> list[Any]:
    made: list[Any] = []
    while batch := list(islice(rows, BATCH)):
        made += model.objects.bulk_create(batch)
    return made


def fill(count: int, key_count: int) -> dict[str, str]:
    """All nouns; the tokens of the platform's owner and of a developer of one project."""
    projects = insert(m.Project, (m.Project(name=name, title=f"Team {name}") for name in names(count)))
    models = insert(
        m.Model,
        (m.Model(name=name, project=projects[i] if i % 2 else None, description=f"about {name}")
         for i, name in enumerate(names(count))),
    )  # fmt: skip
    versions = insert(
        m.ModelVersion, (m.ModelVersion(model=it, name="v1", source=f"hf:org/{it.name}") for it in models)
    )
    deployments = insert(
        m.Deployment,
        (m.Deployment(name=it.model.name, version=it, served_name=it.model.name, project=it.model.project)
         for it in versions),
    )  # fmt: skip
    insert(m.DeploymentStatus, (m.DeploymentStatus(deployment=it, state="ready") for it in deployments))
    insert(
        m.Replica,
        (
            m.Replica(deployment=it, name=f"{it.name}-0", ordinal=0, state="ready", message="ready")
            for it in deployments
        ),
    )
    routes = insert(
        m.Route, (m.Route(name=f"chat-{it.name}".replace("0", "q"), project=it.project) for it in deployments)
    )
    insert(
        m.RouteTarget,
        (m.RouteTarget(route=route, deployment=it) for route, it in zip(routes, deployments, strict=True)),
    )
    insert(m.Limit, (m.Limit(project=it, requests_per_minute=60) for it in projects))
    users = insert(m.User, (m.User(username=name, email=f"{name}@example.com", password="!") for name in names(count)))
    insert(
        m.RoleBinding, (m.RoleBinding(user=u, project=p, role="viewer") for u, p in zip(users, projects, strict=True))
    )
    accounts = insert(m.ServiceAccount, (m.ServiceAccount(name=it.name, project=it) for it in projects))
    insert(
        m.ManagementToken,
        (m.ManagementToken(service_account=it, name=it.name, digest=f"{i:064d}") for i, it in enumerate(accounts)),
    )
    end = datetime(2099, 1, 1, tzinfo=UTC)
    insert(m.UserSession, (_session(user, end) for user in users))
    digest = keys.digest(keys.generate().token, b"pepper")
    insert(
        m.ApiKey,
        (m.ApiKey(project=projects[i % 100], name=name, key_id=f"{i:08d}", digest=digest, created_by="furnish",
                  revoked_at=end if i % 10 == 0 else None)
         for i, name in enumerate(names(key_count))),
    )  # fmt: skip
    _events(key_count, [it.name for it in projects[:100]], [it.value for it in Operation])
    owner = m.User.objects.create(username="alice", is_staff=True)
    developer = m.User.objects.create(username="dora", is_staff=True)
    m.RoleBinding.objects.create(user=owner, role="owner")
    m.RoleBinding.objects.create(user=developer, role="developer", project=projects[7])
    return {"owner": _token(owner), "developer": _token(developer)}


def _session(user: Any, end: datetime) -> Any:
    return m.UserSession(user=user, kind="api", last_seen_at=end, expires_at=end, device="bench")


def _token(user: Any) -> str:
    made = tokens.generate(tokens.MANAGEMENT)
    m.ManagementToken.objects.create(user=user, name="bench", digest=tokens.digest(made.token), token_id=made.id)
    return str(made.token)


def _events(count: int, projects: list[str], operations: list[str]) -> None:
    """Entries of the register over the last hour, by the COPY that the gateway uses."""
    now = datetime.now(UTC)
    rows = (
        pack_row(
            Event(
                id=uuid7(), kind="management", operation=operations[number % len(operations)],
                project=projects[number % len(projects)], actor_type="user", actor_id="1", actor_name="alice",
                target_type="project", target_id=str(number), target_name=f"n-{number:05d}", source="api",
                at=now - timedelta(milliseconds=number * 36), status="ok",
            )
        )
        for number in range(count)
    )  # fmt: skip
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url) as connection, connection.cursor().copy(COPY_STATEMENT) as copy:
        copy.write(pack_copy(rows))


def main() -> None:
    scope.see_all()
    made = fill(int(sys.argv[1]), int(sys.argv[2]))
    with connections["owner" if "owner" in connections else "default"].cursor() as cursor:
        cursor.execute("ANALYZE")
    print(json.dumps(made))


if __name__ == "__main__":
    main()
