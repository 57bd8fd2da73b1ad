#!/usr/bin/env python
"""Django's command line, with the environment of this machine's `make up` when none is given."""

import os
import sys

from config.env import load_instance


def main() -> None:
    load_instance()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - reads the environment

    from controlplane.access import scope  # noqa: PLC0415

    scope.see_all()  # who runs commands on the host is trusted as the system
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
