"""Running a command as a script would: its two outputs and its exit status."""

import io
from typing import NamedTuple

from django.core.management import CommandError, call_command


class Ran(NamedTuple):
    out: str
    err: str
    status: int


def run(name: str, *arguments: str) -> Ran:
    """In this process and this test's transaction; errors become what `manage.py` prints."""
    out = io.StringIO()
    try:
        call_command(name, *arguments, stdout=out)
    except CommandError as exc:
        return Ran(out.getvalue(), str(exc), 1)
    except SystemExit as exc:
        return Ran(out.getvalue(), "", int(exc.code or 0))
    return Ran(out.getvalue(), "", 0)
