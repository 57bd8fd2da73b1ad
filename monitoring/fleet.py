"""The names in the samples, and whose they are: read once a tick."""

from typing import NamedTuple
from uuid import UUID

from controlplane.models import Deployment, Project, Route


class Owned(NamedTuple):
    id: UUID
    project: UUID | None


class Fleet(NamedTuple):
    """Deployments and routes by name, projects by id."""

    deployments: dict[str, Owned]
    routes: dict[str, Owned]
    projects: dict[UUID, str]

    @classmethod
    def now(cls) -> "Fleet":
        deployments = Deployment.objects.filter(deleted_at=None).values_list("name", "id", "project_id")
        routes = Route.objects.values_list("name", "id", "project_id")
        return cls(
            {name: Owned(pk, project) for name, pk, project in deployments.order_by()},
            {name: Owned(pk, project) for name, pk, project in routes.order_by()},
            dict(Project.objects.order_by().values_list("id", "name")),
        )
