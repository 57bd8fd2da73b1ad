"""A4: who owns the database changes the register, and the verifier names the row; where nobody did, it says so."""

import random
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from django.utils import timezone

from audit.checkpoints import write_checkpoint
from audit.models import Seal
from audit.verifying import Report, What, verify
from tests.audit.seals import seal, write_numbers
from tests.proofs.proof import Proof
from tests.register_wiping import FORBID, LET

pytestmark = pytest.mark.django_db(transaction=True)
WRITERS, ROWS, SEALS = ("gateway/1", "gateway/2", "console/1"), 40, 8
FLIPS = {
    "kind": "'intent'", "operation": "'inference.messages'", "project": "project || 'x'",
    "request_id": "reverse(request_id)", "parent_id": "gen_random_uuid()", "actor_type": "'user'",
    "actor_id": "actor_id || ' '", "actor_name": "upper(actor_name)", "auth_method": "''",
    "target_type": "'model'", "target_id": "'other'", "target_name": "'Chat'", "changes": "'{\"a\": [1, 2]}'",
    "at": "at + interval '1 microsecond'", "started_at": "NULL",
    "ended_at": "ended_at - interval '1 microsecond'", "source_ip": "'10.0.0.2'", "host": "'g'",
    "region": "'x'", "replica": "'r'", "reason": "'because'", "ticket": "'T-1'", "source": "'api'",
    "client": "'curl'", "route": "'c'", "model_version": "'m:v2'",
    "detail": "jsonb_set(detail, '{attempts}', '2')", "input_digest": "set_bit(input_digest, 7, 1)",
    "output_digest": "''", "prompt_tokens": "prompt_tokens # 1", "completion_tokens": "completion_tokens + 1",
    "status": "'OK'", "status_code": "201", "id": "gen_random_uuid()",
}  # fmt: skip
Where = tuple[str, int]
Expected = set[tuple[What, str, int]]


@pytest.fixture
def sealed(tmp_path: Path, settings: Any) -> Path:
    """A register with seals and checkpoints; the file of the checkpoints."""
    file = tmp_path / "checkpoints.jsonl"
    settings.CHECKPOINTS_FILE = file
    for turn in range(SEALS):
        for writer in WRITERS:
            write_numbers(writer, *range(turn * 5 + 1, turn * 5 + 6))
        seal()
        if turn % 2:
            write_checkpoint(timezone.now())
    return file


class Tampering:
    """Does one thing to the register behind its back, and says what has to be found."""

    def __init__(self, server: psycopg.Connection, file: Path, chance: random.Random) -> None:
        self.server, self.file, self.chance = server, file, chance

    def _row(self) -> Where:
        return self.chance.choice(WRITERS), self.chance.randint(1, ROWS)

    def _run(self, statement: str, *parameters: object) -> None:
        self.server.execute(LET)
        self.server.execute(statement, parameters)
        self.server.execute(FORBID)

    def flip(self) -> Expected:
        column, value = self.chance.choice(sorted(FLIPS.items()))
        where = self._row()
        self._run(f"UPDATE audit_event_rows SET {column} = {value} WHERE writer = %s AND writer_seq = %s", *where)
        return {(What.CHANGED, *where)}

    def delete(self) -> Expected:
        where = self._row()
        self._run("DELETE FROM audit_event_rows WHERE writer = %s AND writer_seq = %s", *where)
        return {(What.MISSING, *where)}

    def swap(self) -> Expected:
        writer, (one, other) = self.chance.choice(WRITERS), self.chance.sample(range(1, ROWS + 1), 2)
        self._run(
            "UPDATE audit_event_rows SET writer_seq = %s - writer_seq WHERE writer = %s AND writer_seq = ANY(%s)",
            one + other, writer, [one, other],
        )  # fmt: skip
        return {(What.SWAPPED, writer, one), (What.SWAPPED, writer, other)}

    def insert(self) -> Expected:
        writer, number = self._row()
        new = self.chance.choice([number, 0, ROWS + 1000])
        self._run(
            "INSERT INTO audit_event_rows (id, kind, operation, project, request_id, writer, writer_seq, actor_type,"
            " actor_id, actor_name, auth_method, target_type, target_id, target_name, at, host, replica, reason,"
            " source, client, route, model_version, status) SELECT gen_random_uuid(), kind, operation, project,"
            " request_id, writer, %s, actor_type, actor_id, actor_name, auth_method, target_type, target_id,"
            " target_name, at + interval '1 second', host, replica, reason, source, client, route, model_version,"
            " status FROM audit_event_rows WHERE writer = %s AND writer_seq = %s",
            new, writer, number,
        )  # fmt: skip
        return {(What.INSERTED, writer, new)}

    def cut_tail(self) -> Expected:
        keep = self.chance.randint(1, SEALS - 1)
        self._run("DELETE FROM audit_seal WHERE number > %s", keep)
        self._run("DELETE FROM audit_event_rows WHERE writer_seq > %s", keep * 5)
        return {(What.CUT_TAIL, "", 0)}

    def edit_seal(self) -> Expected:
        number = self.chance.randint(1, SEALS)
        change = self.chance.choice([
            "root = set_bit(root, 9, 1 - get_bit(root, 9))", "hash = set_bit(hash, 9, 1 - get_bit(hash, 9))",
            "prev = set_bit(prev, 9, 1 - get_bit(prev, 9))", "leaves = set_bit(leaves, 9, 1 - get_bit(leaves, 9))",
            "total = total + 1", "epoch = epoch + 1", "sealed_at = sealed_at + interval '1 s'",
            "ranges = jsonb_set(ranges, '{0,0}', '\"nobody\"')", "gaps = '[[\"w\", 1, 1]]'",
        ])  # fmt: skip
        self._run(f"UPDATE audit_seal SET {change} WHERE number = %s", number)
        return {(What.SEAL_EDITED, "", 0)}

    def edit_checkpoint(self) -> Expected:
        lines = self.file.read_bytes().splitlines(keepends=True)
        line = self.chance.randrange(len(lines))
        at = lines[line].index(self.chance.choice([b'"hash":"', b'"count":', b'"key":"'])) + 9
        changed = bytearray(lines[line])
        changed[at] = ord("1") if changed[at] != ord("1") else ord("2")
        lines[line] = bytes(changed)
        self.file.write_bytes(b"".join(lines))
        return {(What.CHECKPOINT_EDITED, "", 0)}


KINDS = ("flip", "flip", "flip", "delete", "swap", "insert", "cut_tail", "edit_seal", "edit_checkpoint")


def named(report: Report, expected: Expected) -> bool:
    """Everything that was done is named, and no row besides; what follows from an edited seal may be named as well."""
    of_rows = {(one.what, one.writer, one.number) for one in report.failures}
    what = next(iter(expected))[0]
    if what in {What.CUT_TAIL, What.SEAL_EDITED, What.CHECKPOINT_EDITED}:
        return report.first is not None and expected <= of_rows
    return of_rows == expected


@pytest.mark.proof("A4", seconds=1500)
def test_every_tampering_is_named_and_no_clean_run_is(sealed: Path, proof: Proof) -> None:
    found, clean, alarms, tampered = 0, 0, 0, 0
    missed: list[str] = []
    original = sealed.read_bytes()
    url = connections["owner" if "owner" in connections else "default"].get_connection_params()
    superuser = {key: url[key] for key in ("dbname", "host", "port") if key in url}
    with psycopg.connect(**superuser, user="postgres", autocommit=True) as server:
        server.execute("SELECT set_config('signalbox.events_of', '*', false)")
        server.execute(
            "CREATE TABLE kept_rows AS SELECT * FROM audit_event_rows;"
            "CREATE TABLE kept_seals AS SELECT * FROM audit_seal"
        )
        try:
            for turn in proof.rounds(30, 1000):
                tampering = Tampering(server, sealed, random.Random(turn))
                kind = KINDS[turn % len(KINDS)]
                expected = getattr(tampering, kind)()
                report = verify(timezone.now(), processes=1)
                tampered += 1
                if named(report, expected):
                    found += 1
                else:
                    missed.append(f"{turn} {kind}: {expected} but {report.failures[:3]}")
                _restore(server, sealed, original)
            for _ in range(proof.full(5, 100)):
                clean += 1
                alarms += bool(verify(timezone.now(), processes=1).failures)
        finally:
            server.execute("DROP TABLE kept_rows, kept_seals")
    assert not missed, missed[:3]
    proof.show("tamperings by a superuser named at the right row", counted=tampered, bar="all", measured=found,
               held=found == tampered)  # fmt: skip
    proof.show("false alarms in clean runs", counted=clean, bar="0", measured=alarms, held=alarms == 0)


def _restore(server: psycopg.Connection, file: Path, original: bytes) -> None:
    file.write_bytes(original)
    columns = ", ".join(name for (name,) in server.execute(
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = 'audit_event_rows'::regclass AND attnum > 0 AND NOT attisdropped"
    ))  # fmt: skip
    server.execute(f"""
        {LET}
        TRUNCATE audit_event, audit_seal;
        INSERT INTO audit_event_rows ({columns}) SELECT {columns} FROM kept_rows;
        ALTER TABLE audit_seal DISABLE TRIGGER audit_fence;
        INSERT INTO audit_seal SELECT * FROM kept_seals;
        ALTER TABLE audit_seal ENABLE ALWAYS TRIGGER audit_fence;
        {FORBID}
    """)


def test_seals_of_one_another_day(sealed: Path) -> None:
    """What was sealed before a moment can be left out."""
    del sealed
    middle = Seal.objects.get(number=5)
    report = verify(timezone.now(), since=middle.first_at, processes=1)
    assert 4 <= report.seals <= SEALS
    assert not report.failures
    connection.close()
