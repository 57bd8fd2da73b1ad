"""What the register holds of what clients were told: each id of theirs against its rows."""

import json
import random
import subprocess
import sys
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from inference.contract import bodies
from tests.inference.keeping import place_of
from tests.proofs.asker import WIDTH
from tests.proofs.machine import Machine, Told
from tests.proofs.proof import Proof
from tests.proofs.store import MANAGE
from tests.waiting import until

OPENED = 500
"""bodies that are decrypted at the end"""

_TELL = "CREATE TEMP TABLE told (id text NOT NULL, how text NOT NULL)"
_LOST = """
SELECT count(*) FROM told LEFT JOIN audit_event e ON e.request_id = told.id AND e.kind = 'outcome' AND e.status = 'ok'
WHERE told.how = 'acknowledged' AND e.id IS NULL
"""
_WITHOUT_INTENT = """
SELECT (SELECT count(*) FROM told LEFT JOIN audit_event e ON e.request_id = told.id AND e.kind = 'intent'
        WHERE told.how = 'acknowledged' AND told.id LIKE 's%' AND e.id IS NULL)
     + (SELECT count(*) FROM audit_event o LEFT JOIN audit_event i ON i.id = o.parent_id AND i.kind = 'intent'
        WHERE o.kind = 'outcome' AND o.parent_id IS NOT NULL AND i.id IS NULL)
"""
_BEGUN_UNRECORDED = """
SELECT count(*) FROM told LEFT JOIN audit_event e ON e.request_id = told.id WHERE told.how = 'begun' AND e.id IS NULL
"""
_DOUBLED = """
SELECT count(*) FROM (
    SELECT FROM audit_event WHERE kind IN ('intent', 'outcome') GROUP BY request_id, kind HAVING count(*) > 1
) AS twice
"""
_ALL_SEALED = """
SELECT (SELECT count(*) FROM audit_event) = coalesce((SELECT total FROM audit_seal ORDER BY number DESC LIMIT 1), 0)
"""
_SAY_KEPT = "SELECT count(*) FROM audit_event WHERE kind = 'outcome' AND status = 'ok' AND detail ? 'kept'"
_BODIES_LOST = """
SELECT (SELECT count(*) FROM audit_event e LEFT JOIN audit_body b
            ON b.event_id = coalesce(e.parent_id, e.id) AND b.side = 'input' WHERE e.detail ? 'kept' AND b.id IS NULL)
     + (SELECT count(*) FROM audit_event e LEFT JOIN audit_body b ON b.event_id = e.id AND b.side = 'output'
        WHERE e.detail ? 'kept' AND e.status = 'ok' AND b.id IS NULL)
     + (SELECT count(*) FROM audit_body b LEFT JOIN audit_event e ON e.id = b.event_id WHERE e.id IS NULL)
"""


class Recorded(NamedTuple):
    """All but the first two should be 0."""

    acknowledged: int
    say_kept: int
    """outcomes that say that their bodies are kept"""
    lost: int
    without_intent: int
    begun_unrecorded: int
    doubled: int
    bodies_lost: int
    """not there although an event says so, or there without their event"""
    bodies_closed: int
    """of some that were to be opened"""
    gaps: int
    """writers of which a number is missing"""


def recorded(machine: Machine, told: Told) -> Recorded:
    """Once the spool is empty and all is sealed."""
    with psycopg.connect(machine.store.server.environment["DATABASE_OWNER_URL"], autocommit=True) as connection:
        connection.execute("SELECT set_config(%s, '*', false)", [bodies.SEEN])
        until(lambda: not machine.spooled and _number(connection, _ALL_SEALED), tell=machine.last_words)
        _tell(connection, told)
        return Recorded(
            told.count(), _number(connection, _SAY_KEPT), _number(connection, _LOST),
            _number(connection, _WITHOUT_INTENT), _number(connection, _BEGUN_UNRECORDED),
            _number(connection, _DOUBLED), _number(connection, _BODIES_LOST), _closed(connection, machine),
            _number(connection, "SELECT count(*) FROM audit_writer WHERE missing <> '[]'"),
        )  # fmt: skip


def _tell(connection: "psycopg.Connection[Any]", told: Told) -> None:
    connection.execute(_TELL)
    with connection.cursor() as cursor, cursor.copy("COPY told FROM STDIN") as copy:
        for how in ("acknowledged", "begun"):
            ids = told.ids(how)
            for place in range(0, len(ids), WIDTH):
                copy.write_row((ids[place : place + WIDTH - 1].decode(), how))
    connection.execute("ANALYZE told")


def _number(connection: "psycopg.Connection[Any]", statement: str) -> int:
    found = connection.execute(statement).fetchone()  # type: ignore[call-overload]
    return int(found[0])


def _closed(connection: "psycopg.Connection[Any]", machine: Machine) -> int:
    """How many of some bodies do not open, or are empty."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("SELECT * FROM audit_body").fetchmany(20_000)
    chosen = random.sample(rows, min(OPENED, len(rows)))
    return sum(not _opens(row, machine.person) for row in chosen)


def _opens(row: dict[str, Any], private: bytes) -> bool:
    try:
        return bool(bodies.decrypt(row["sealed"], place_of(row), private))
    except bodies.Unreadable:
        return False


def verified(machine: Machine) -> dict[str, Any]:
    """What ``verify_audit`` says of it."""
    argv = [sys.executable, str(MANAGE), "verify_audit", "--json"]
    done = subprocess.run(argv, env=machine.environment, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


def show(proof: Proof, what: str, machine: Machine, told: Told) -> None:
    """The rows of the table that hold the register against what clients were told."""
    found = recorded(machine, told)
    proof.show(
        f"acknowledged requests lost, without their intent, doubled; {what}", counted=found.acknowledged,
        bar="0, 0, 0", measured=f"{found.lost}, {found.without_intent}, {found.doubled}",
        held=found.lost == found.without_intent == found.doubled == 0,
    )  # fmt: skip
    proof.show(
        f"requests of which a byte was answered before the connection broke, without a record; {what}",
        counted=told.count("begun"), bar="0", measured=found.begun_unrecorded, held=not found.begun_unrecorded,
    )  # fmt: skip
    proof.show(
        f"bodies that an event names and that are not there, or do not open; {what}", counted=found.say_kept,
        bar="0 and 0", measured=f"{found.bodies_lost} and {found.bodies_closed}",
        held=found.bodies_lost == found.bodies_closed == 0,
    )  # fmt: skip
    said = verified(machine)
    bad = len(said["failures"])
    proof.show(
        f"failures of verify_audit, writers with a gap, over {said['seals']:,} seals"
        f" and {said['checkpoints']:,} checkpoints; {what}",
        counted=said["rows"], bar="0 and 0", measured=f"{bad} and {found.gaps}", held=bad == found.gaps == 0,
    )  # fmt: skip
