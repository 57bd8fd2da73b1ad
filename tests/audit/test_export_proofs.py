"""What proves an export's rows is the same however few seals, leaf hashes and checkpoints are in memory at a time."""

import gzip
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap64

from audit import export_proofs
from audit.checkpoints import write_checkpoint
from audit.export_files import Files, Sizes
from audit.export_proofs import Numbers, Proofs, gathered, numbers_of, places_in
from audit.exporting import Format
from audit.finding import Selection
from audit.models import Seal
from tests.audit.seals import five_seals, seal, write_numbers

ALL = {"w": BitMap64(range(1, 23)), 'odd"\\名': BitMap64(range(1, 21))}
SOME = {"w": BitMap64([1, 6, 7, 20, 22])}


@pytest.fixture
def sealed(tmp_path: Path, settings: Any) -> None:
    settings.CHECKPOINTS_FILE = tmp_path / "checkpoints"
    five_seals()


def told(numbers: Numbers, selection: Selection | None = None) -> tuple[list[Any], list[Any], int]:
    proofs = Proofs(numbers, selection or Selection())
    return list(proofs.seals()), list(proofs.checkpoints()), proofs.sealed


@pytest.mark.django_db
@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("numbers", [ALL, SOME, {}])
def test_same_in_every_portion(monkeypatch: pytest.MonkeyPatch, numbers: Numbers) -> None:
    whole = told(numbers)
    for seals in (1, 2, 3):
        monkeypatch.setattr(export_proofs, "SEALS_AT_ONCE", seals)
        monkeypatch.setattr(export_proofs, "LEAVES_AT_ONCE", 1)
        monkeypatch.setattr(export_proofs, "LINES_AT_ONCE", 1)
        assert told(numbers) == whole


@pytest.mark.django_db
@pytest.mark.usefixtures("sealed")
def test_from_each_full_seal_to_its_checkpoint_and_nothing_else() -> None:
    seals, checkpoints, sealed = told({"w": BitMap64([6])})
    assert [(it["number"], "link" in it) for it in seals] == [(2, False), (3, True)]
    assert ([it["number"] for it in checkpoints], sealed) == ([3], 1)


@pytest.mark.django_db
@pytest.mark.usefixtures("sealed")
def test_what_no_checkpoint_signs_is_not_proven() -> None:
    seal()
    assert told({"w": BitMap64([21, 22])}) == ([], [], 0)
    write_checkpoint(timezone.now())
    assert told({"w": BitMap64([21, 22])})[2] == 2


@pytest.mark.django_db
@pytest.mark.usefixtures("sealed")
def test_bridges_lead_beyond_the_time_that_was_asked_for() -> None:
    last = Seal.objects.get(number=4).last_at
    seals, checkpoints, _ = told({"w": BitMap64([13])}, Selection(until=last))
    assert ([it["number"] for it in seals], [it["number"] for it in checkpoints]) == ([4, 5], [5])


@pytest.mark.django_db
def test_a_register_that_nobody_seals_proves_nothing() -> None:
    write_numbers("w", 1)
    assert told({"w": BitMap64([1])}) == ([], [], 0)


@pytest.mark.django_db
@pytest.mark.usefixtures("sealed")
def test_seals_are_read_while_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(export_proofs, "SEALS_AT_ONCE", 1)
    proofs = Proofs(ALL, Selection())
    with django_assert_num_queries(2):  # where they begin and end, and the first
        assert next(proofs.seals())["number"] == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("sealed")
def test_seals_that_bind_nothing_of_it_are_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Millions may come before the first that does, and whoever keeps a lease has to hear of them."""
    monkeypatch.setattr(export_proofs, "SEALS_AT_ONCE", 1)
    told: list[None] = []
    assert not list(Proofs({"nobody": BitMap64([1])}, Selection(), lambda: told.append(None)).seals())
    assert len(told) == 5


@given(st.dictionaries(st.sampled_from(["w", "é", "a b"]), st.sets(st.integers(1, 60)), max_size=3))
def test_places_are_those_of_the_numbers(held: dict[str, set[int]]) -> None:
    ranges = [["a b", 5, 9], ["w", 1, 20], ["w", 30, 31], ["é", 59, 70]]
    leaves = [(writer, number) for writer, first, last in ranges for number in range(first, last + 1)]
    expected = [place for place, (writer, number) in enumerate(leaves) if number in held.get(writer, ())]
    assert places_in(ranges, {writer: BitMap64(its) for writer, its in held.items()}) == expected


@given(st.sets(st.integers(0, 40)))
def test_gathered(places: set[int]) -> None:
    found = gathered(sorted(places))
    assert [place for first, last in found for place in range(first, last + 1)] == sorted(places)
    assert all(one[1] + 1 < other[0] for one, other in pairwise(found))


def test_numbers_of_parts_in_a_row_and_of_a_version_before(tmp_path: Path) -> None:
    files = Files(tmp_path, "it", Format.JSONL)
    with files.opened(Sizes()) as file:
        file.write(b"", numbers=b"w\t1\t3\nw\t9\t9\n")
        file.write(b"", numbers=b"a\\tb\\\\\t7\t7\nw\t4\t8\n")
    with files.numbers.open("ab") as more:
        more.write(gzip.compress(b"w\t12\n"))
    assert numbers_of(files) == {"w": BitMap64([*range(1, 10), 12]), "a\tb\\": BitMap64([7])}
