from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from audit.retirements import told
from audit.verifying import PROCESSES, Report, verify
from controlplane.management.command import Result, ScriptCommand

SHOWN = 20


def moment(text: str) -> datetime:
    """An ISO time; without a zone it is the installation's."""
    found = parse_datetime(text) if "T" in text or " " in text else parse_datetime(f"{text}T00:00")
    if found is None:
        raise ArgumentTypeError(f"{text} is no time such as 2026-11-22T10:00:00+08:00")
    return found if found.tzinfo else timezone.make_aware(found)


class Command(ScriptCommand):
    help = "Verify the register: rows against seals, seals against signed checkpoints. Names the first bad row."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=moment, metavar="T", help="only what was written since")
        parser.add_argument("--processes", type=int, default=PROCESSES, metavar="N", help="that read side by side")

    def answer(self, *, since: datetime | None, processes: int, **_: Any) -> Result:
        report = verify(timezone.now(), since=since, processes=processes)
        if report.first is not None:
            self.stderr.write("\n".join(map(str, report.failures[:SHOWN])))
        return Result(_told(report), _data(report), 1 if report.failures else 0)


def _told(report: Report) -> str:
    counted = f"{report.rows} rows, {report.seals} seals, {report.checkpoints} checkpoints"
    if report.first is None:
        waiting = f"; {report.unsealed} rows wait for their seal" if report.unsealed else ""
        return "\n".join([f"The register is as it was written: {counted}{waiting}.", *_gone(report)])
    return f"{len(report.failures)} of the register is not as it was written ({counted}). First {report.first}"


def _gone(report: Report) -> list[str]:
    return [
        f"{one} was dropped (event {one.event}): its {one.rows} rows stand in the export {one.export},"
        f" SHA-256 {one.sha256}."
        for one in report.retired
    ]


def _data(report: Report) -> dict[str, Any]:
    failures = [one._asdict() for one in report.failures]
    return {
        "ok": not failures, "rows": report.rows, "seals": report.seals, "checkpoints": report.checkpoints,
        "unsealed": report.unsealed, "retired": [told(one) for one in report.retired], "failures": failures,
    }  # fmt: skip
