from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from audit.export_files import Files, Sizes, append_all
from audit.exporting import Format, heading, place_of, rows_behind, wall
from audit.finding import Selection
from audit.manifest import Attested, attest
from audit.operations import Operation
from audit.record import Actor, Target, record
from controlplane.management.command import Result, ScriptCommand
from controlplane.models import Project


def moment(text: str) -> datetime:
    """``2026-11-01`` or ``2026-11-01T08:00:00+08:00``; without an offset it is the console's time zone."""
    try:
        found = parse_datetime(text)
        day = parse_date(text) if found is None else None
    except ValueError:
        found = day = None
    if day:
        found = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the zone follows
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no time: write 2026-11-01 or 2026-11-01T08:00:00+08:00")
    return found if found.tzinfo else timezone.make_aware(found)


class Command(ScriptCommand):
    takes_reason = True
    help = "Write entries of the register into a file, with a manifest and its signature beside it."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=[it.value for it in Format], required=True, dest="form")
        parser.add_argument("--since", type=moment, metavar="T", help="the first moment")
        parser.add_argument("--until", type=moment, metavar="T", help="the first moment that is not meant any more")
        parser.add_argument("--project", default="", metavar="P", help="entries of this project only")
        parser.add_argument("--bom", action="store_true", help="CSV: mark the file as UTF-8, for Excel")
        parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                            help="compressed when its name ends in .gz")  # fmt: skip

    def answer(
        self, *, form: str, since: datetime | None, until: datetime | None, project: str, bom: bool, output: Path,
        reason: str, **_: Any,
    ) -> Result:  # fmt: skip
        if project and not Project.objects.filter(name=project).exists():
            raise CommandError(f"There is no project {project}.")
        now = timezone.now()
        selection = Selection(since=since, until=min(until or now, now), project=project)
        files = _files(output, Format(form))
        try:
            count, attested = _write(files, selection, bom=bom)
        except OSError as exc:
            raise CommandError(f"{output}: {exc.strerror or exc}") from exc
        _note(output.name, selection, count, attested.sha256, reason=reason, actor=self.actor)
        data = {
            "file": str(output), "rows": count, "unsealed": attested.unsealed, "sha256": attested.sha256,
            "manifest": str(files.manifest), "signature": str(files.signature),
        }  # fmt: skip
        return Result(f"{count} entries in {output}", data)


def _files(output: Path, form: Format) -> Files:
    """What stands beside the file is named as it is, without its endings."""
    compressed = output.name.endswith(".gz")
    name = output.name.removesuffix(".gz").removesuffix(f".{form.value}") or output.name
    return Files(output.parent, name, form, compressed, exactly=output)


def _write(files: Files, selection: Selection, *, bom: bool) -> tuple[int, Attested]:
    with files.opened(Sizes()) as file:
        file.write(heading(files.form, bom=bom))
        with closing(append_all(file, files.form, _rows(selection))) as written:
            count = sum(new.rows for new in written)
    attested = attest(files, selection, count)
    files.numbers.unlink()
    return count, attested


def _rows(selection: Selection) -> Iterator[list[bytes]]:
    place = None
    while True:
        with wall(selection.project):
            rows = rows_behind(selection, place)
        if not rows:
            return
        place = place_of(rows[-1])
        yield rows


def _note(name: str, selection: Selection, count: int, sha256: str, *, reason: str, actor: Actor) -> None:
    record(
        Operation.EXPORT_FINISHED, actor=actor, target=Target("export", "", name), reason=reason,
        project=selection.project, detail={"filter": selection.plain(), "rows": count, "sha256": sha256},
    )  # fmt: skip
