"""Whether a container's one process does its work: exit status 0, or 1 with the reason. docker-compose.yml asks it.

usage: python -m config.healthy console|gateway|worker|beat
"""

import http.client
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from celery import Celery

from config import env
from config.databases import celery_broker

SECONDS = 5.0
BEAT_SCHEDULE = Path("/tmp/beat")  # noqa: S108  # nosec B108 - a tmpfs of the container's own
BEAT_SILENCE = 600.0
"""seconds; beat writes its schedule down every three minutes"""


class Unwell(Exception):
    """The process does not do its work; the message says how that shows."""


def console() -> None:
    answers(env.integer("SIGNALBOX_CONSOLE_PORT", 8000), "/readyz")


def gateway() -> None:
    """Asked on the operator's port, so that clients who take all connections do not make it look dead."""
    answers(env.integer("SIGNALBOX_GATEWAY_METRICS_PORT", 9108), "/readyz")


def worker() -> None:
    """This very worker answers a ping that goes through Redis."""
    name = f"celery@{socket.gethostname()}"
    with Celery(broker=celery_broker(env.required("REDIS_URL")), set_as_current=False) as app:
        app.conf.accept_content = ["json"]
        if not app.control.inspect(destination=[name], timeout=SECONDS).ping():
            raise Unwell(f"{name} did not answer within {SECONDS:g} s")


def beat(schedule: Path = BEAT_SCHEDULE, now: Callable[[], float] = time.time) -> None:
    """Beat writes down when it last sent what. `now` is in seconds since 1970."""
    written = [path.stat().st_mtime for path in schedule.parent.glob(f"{schedule.name}*")]
    if not written:
        raise Unwell(f"{schedule} is not there")
    if (silent := now() - max(written)) > BEAT_SILENCE:
        raise Unwell(f"{schedule} was last written {silent:.0f} s ago")


def answers(port: int, path: str) -> None:
    """Raises `Unwell` unless this container answers 200 there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        said = response.read(300).decode(errors="replace")
    except OSError as exc:
        raise Unwell(f"port {port}: {exc}") from exc
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise Unwell(f"port {port}: {response.status} {said}")


ROLES: dict[str, Callable[[], None]] = {"console": console, "gateway": gateway, "worker": worker, "beat": beat}


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in ROLES:
        sys.exit(f"usage: python -m config.healthy {'|'.join(ROLES)}")
    try:
        ROLES[sys.argv[1]]()
    except Unwell as exc:
        sys.exit(f"unhealthy: {exc}")


if __name__ == "__main__":
    main()
