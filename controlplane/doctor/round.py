"""All checks, in the order in which one would mend things."""

from collections.abc import Callable, Iterator

from django.db import connection

from controlplane.doctor import data, machine, processes, secrets
from controlplane.doctor.findings import Finding, fail, first_line

Check = Callable[[], Finding | list[Finding]]

CHECKS: tuple[Check, ...] = (
    machine.secret_key,
    machine.disk,
    machine.memory,
    machine.open_files,
    data.postgresql,
    data.role,
    data.migrations,
    data.register,
    data.partitions,
    data.budgets,
    secrets.sealed,
    machine.clock,
    data.redis,
    data.tables,
    processes.console,
    processes.gateway,
    processes.worker,
    processes.schedule,
    processes.replicas,
)


def go_round() -> Iterator[Finding]:
    """Each finding as soon as it is made. A check that breaks is a finding too: the doctor never stops halfway."""
    for check in CHECKS:
        try:
            found = check()
        except Exception as exc:  # noqa: BLE001 - whatever breaks is what the doctor is for
            found = fail(check.__name__, f"the check broke ({type(exc).__name__}: {first_line(exc)})", "report this")
        yield from found if isinstance(found, list) else [found]
    connection.close_if_unusable_or_obsolete()
