"""The end of a replica's log, read from the directory that the process backend keeps for it on this machine."""

import os
from pathlib import Path

from django.conf import settings

from controlplane.models import Replica

LOG = "engine.log"
"""what the process backend calls it; a test there holds the two names together"""
MOST_BYTES = 64 * 1024
MOST_LINES = 400


def tail(replica: Replica, *, lines: int = MOST_LINES) -> str | None:
    """The last lines, at most `MOST_BYTES` of them; None when this machine has no log of the replica."""
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
