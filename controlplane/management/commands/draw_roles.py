"""``manage.py draw_roles``: docs/roles.md, drawn from the registry of permissions and the built-in roles."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from controlplane.roles import PERMISSIONS_OF, Permission, Role

HEAD = """\
# Roles

Drawn from `controlplane/roles.py` by `manage.py draw_roles`; do not edit by hand.

A role binding gives one of these roles to a person or to a service account, on one project or on the whole platform. On
the platform it holds for everything; on a project for what belongs to it, and to read the models, versions and routes
that the platform offers to every project. Rights are asked for anew with every request: one that is taken away is gone
with the next.

- What one may not see answers as what is not there (404). What one may see but not change is refused (403).
- Owners grant roles, where they own and never more than they hold there. The platform always keeps an owner.
- An auditor reads and exports the register and does nothing else; nobody but an auditor or an owner exports it.
- What a project may use as a whole (a limit of the project) is set on the platform; limits of its keys and routes are
  its own.
- A project's service account holds roles in its project only.
- A superuser owns the platform whatever the bindings say. That is meant for breaking the glass: `make up` makes one
  (`admin`), an owner can make others, and `manage.py createsuperuser` on the host makes one when nobody can sign in.

"""


def draw() -> str:
    """The whole document."""
    lines = [f"| permission | {' | '.join(Role.values)} |", "|---" * (len(Role) + 1) + "|"]
    for permission in Permission:
        held = ("✓" if permission in PERMISSIONS_OF[role] else "" for role in Role)
        lines.append(f"| `{permission}` | {' | '.join(held)} |")
    return HEAD + "\n".join(lines) + "\n"


class Command(BaseCommand):
    help = "Draw docs/roles.md from the registry of permissions and the built-in roles."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        path = settings.BASE_DIR / "docs" / "roles.md"
        path.write_text(draw(), encoding="utf-8")
        self.stdout.write(str(path))
