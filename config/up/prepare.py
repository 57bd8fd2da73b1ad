"""Migrations and first objects: one Django process at each start, before the others.

usage: python -m config.up.prepare
"""

import django
from django.core.management import call_command


def main() -> None:
    django.setup()
    from django.conf import settings  # noqa: PLC0415 - after setup

    from controlplane.access import scope  # noqa: PLC0415
    from controlplane.publish import publish_all  # noqa: PLC0415

    scope.see_all()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("bootstrap_instance", credentials=settings.HOME / "dev" / "credentials.env")
    publish_all()  # so that the gateway knows keys and routes before the first worker is up


if __name__ == "__main__":
    main()
