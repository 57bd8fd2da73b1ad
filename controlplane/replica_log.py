"""The end of a replica's log: from the directory that the process backend keeps on this machine, or from its source."""

import os
from pathlib import Path

from django.conf import settings

from controlplane.models import Replica
from controlplane.replica_sources import SourceAwayError, source_of

LOG = "engine.log"
"""what the process backend calls it; a test there holds the two names together"""
MOST_BYTES = 64 * 1024
MOST_LINES = 400


def tail(replica: Replica, *, lines: int = MOST_LINES) -> str | None:
    """The last lines, at most `MOST_BYTES` of them; None when there is no log of the replica.

    A source that is away says so in the place of the log.
    """
    if source := source_of(replica):
        try:
            return source.log(replica.name, lines=lines)
        except SourceAwayError as exc:
            return str(exc)
    return _file_tail(replica, lines)


def _file_tail(replica: Replica, lines: int) -> str | None:
    path = Path(settings.REPLICAS_DIR) / replica.name / LOG
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - MOST_BYTES))
            text = log.read(MOST_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None
    found = text.splitlines()
    if size > MOST_BYTES:
        found = found[1:]  # the first line is cut
    return "\n".join(found[-lines:])
