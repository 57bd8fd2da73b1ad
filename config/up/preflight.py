"""What would go wrong later, said now: ports, disk, memory. Each raises `UpError` with one line."""

import errno
import shutil
import socket

from config.up.instance import Instance
from config.up.progress import UpError
from workers.backends.process.requirements import memory_available

GIB = 1 << 30
FIRST_START_DISK = 8 * GIB  # engine environment 2.1 GB, packages while they unpack, model 0.4 GB
ANY_START_DISK = GIB // 2
ENGINE_MEMORY = int(3.5 * GIB)  # the default engine takes 2.8 GB, the rest of Signalbox 0.6 GB


def check_ports(instance: Instance) -> None:
    for name, port in (
        ("SIGNALBOX_CONSOLE_PORT", instance.console_port),
        ("SIGNALBOX_GATEWAY_PORT", instance.gateway_port),
        ("SIGNALBOX_GATEWAY_METRICS_PORT", instance.metrics_port),
    ):
        _check_port(instance.bind, name, port)
    if len({instance.console_port, instance.gateway_port, instance.metrics_port}) < 3:
        raise UpError("console, gateway and metrics need three different ports: set SIGNALBOX_*_PORT.")


def _check_port(bind: str, name: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        try:
            probe.bind((bind, port))
        except OSError as exc:
            raise UpError(f"port {port} on {bind} cannot be used: {_why(exc)}. Set {name} to another one.") from exc


def _why(exc: OSError) -> str:
    return "another program listens there" if exc.errno == errno.EADDRINUSE else str(exc.strerror)


def check_disk(instance: Instance) -> None:
    first = instance.with_engine and not any(instance.engines.glob("*/"))
    needed = FIRST_START_DISK if first else ANY_START_DISK
    if (free := shutil.disk_usage(instance.home).free) < needed:
        raise UpError(
            f"only {free / GIB:.1f} GiB are free under {instance.home}, {needed / GIB:.1f} GiB are needed: free some "
            "space, or set SIGNALBOX_HOME to a larger disk."
        )


def check_memory(instance: Instance) -> None:
    if instance.with_engine and (available := memory_available()) < ENGINE_MEMORY:
        raise UpError(
            f"only {available / GIB:.1f} GiB of memory are available, the default engine needs "
            f"{ENGINE_MEMORY / GIB:.1f}: stop other programs, or start without an engine: make up ENGINE=none"
        )
