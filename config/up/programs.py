"""The processes of one machine: how each is started and stopped, in which order."""

import sys
from dataclasses import dataclass

from config.embedded import Server
from config.up.instance import Instance


@dataclass(frozen=True)
class Program:
    """One entry for supervisord. Lower `priority` starts earlier and stops later."""

    name: str
    argv: tuple[str, ...]
    priority: int
    stop_signal: str = "TERM"
    stop_wait: int = 15
    user: str | None = None
    may_own: bool = False
    """gets the URL of the database's owner"""


def of_server(server: Server) -> Program:
    """An embedded server: first to start, last to stop, with the time to write everything down."""
    return Program(
        server.name.lower(), server.argv, priority=10, stop_signal=server.stop_signal.name.removeprefix("SIG"),
        stop_wait=60, user=server.user,
    )  # fmt: skip


def of_signalbox(instance: Instance) -> list[Program]:
    """Signalbox's own processes."""
    python = sys.executable
    celery = (python, "-m", "celery", "-A", "config.celery")
    return [
        Program("console", (
            python, "-m", "uvicorn", "config.asgi:application", "--host", instance.bind,
            "--port", str(instance.console_port), "--no-access-log", "--timeout-graceful-shutdown", "5",
            "--no-server-header", "--no-proxy-headers", "--lifespan", "off",
            "--timeout-keep-alive", "75",  # longer than clients and load balancers keep theirs
        ), priority=100),
        Program("gateway", (python, "-m", "inference"), priority=100, stop_wait=30),
        Program("worker", (
            *celery, "worker", "--loglevel", "INFO", "--concurrency", "2", "--without-mingle", "--without-gossip",
        ), priority=200, stop_wait=30, may_own=True),
        Program("beat", (
            *celery, "beat", "--loglevel", "WARNING", "--pidfile=", "--schedule", str(instance.run / "beat"),
        ), priority=300),
    ]  # fmt: skip
