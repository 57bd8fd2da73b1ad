"""Whether what lies sealed can be read."""

from django.db import DatabaseError

from controlplane.actions.rotate_master_key import Column, sealed_columns, waiting
from controlplane.doctor.findings import Finding, fail, ok, warn
from controlplane.sealing import FORM, keyring
from controlplane.sealing import key_id as id_of

_NO_DATABASE = "needs PostgreSQL"


def sealed() -> Finding:
    """Told apart by the master key's id in each envelope; nothing is opened."""
    try:
        others = {column: found for column in sealed_columns() if (found := waiting(column).count())}
        openable = sum(map(_under_previous, others))
    except DatabaseError:
        return fail("sealed secrets", "unknown", _NO_DATABASE)
    if lost := sum(others.values()) - openable:
        return fail(
            "sealed secrets", f"{lost} were sealed under another master key, in {', '.join(map(str, others))}",
            "set SIGNALBOX_MASTER_KEY to the one they were sealed under, or enter them anew",
        )  # fmt: skip
    if openable:
        return warn(
            "sealed secrets", f"{openable} still need the previous master key", "run manage.py rotate_master_key"
        )
    return ok("sealed secrets", f"all under the master key {keyring().current_id}")


def _under_previous(column: Column) -> int:
    previous = keyring().previous
    if previous is None:
        return 0
    return waiting(column).filter(**{f"{column.name}__startswith": f"{FORM}.{id_of(previous)}."}).count()
