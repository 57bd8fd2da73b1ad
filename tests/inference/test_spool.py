"""The spool's file: what was appended comes back, a torn end does not, a dead worker's file finds its heir."""

from pathlib import Path

import pytest

from inference.spool import Segment, Spool, SpoolFull, frame

ROWS = [b"first", b"second" * 100, b"\x00third"]


def rows(spool: Spool) -> list[bytes]:
    return [row for segment in spool.take() for row in segment.rows()]


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 10_000)
    spool.append(ROWS[:1])
    spool.append(ROWS[1:])
    assert rows(spool) == ROWS


def test_done_rows_are_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    spool.append(ROWS)
    for segment in spool.take():
        spool.done(segment)
    assert (spool.take(), spool.size, list(tmp_path.iterdir())) == ([], 0, [])


def test_rows_that_come_during_the_replay_wait_for_the_next(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    spool.append(ROWS[:1])
    (first,) = spool.take()
    spool.append(ROWS[1:])
    spool.done(first)
    assert rows(spool) == ROWS[1:]


def test_full_spool_takes_nothing_new_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100)
    spool.append([b"x" * 84])
    assert not spool.takes_more
    with pytest.raises(SpoolFull):
        spool.append([b"y" * 84])
    assert rows(spool) == [b"x" * 84]


@pytest.mark.parametrize("kept", [1, 7, 8, 12])
def test_torn_end_is_left_out_and_kept_beside(tmp_path: Path, kept: int) -> None:
    spool = Spool(tmp_path, 10_000)
    spool.append(ROWS[:1])
    whole = spool.size
    spool.append([b"torn apart"])
    path = next(tmp_path.iterdir())
    spool.close()
    path.write_bytes(path.read_bytes()[: whole + kept])
    assert rows(Spool(tmp_path, 10_000)) == ROWS[:1]
    assert len(next(tmp_path.glob("*.torn")).read_bytes()) == kept


def test_flipped_bit_is_not_taken_for_a_row(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    spool.append(ROWS)
    spool.close()
    path = next(tmp_path.iterdir())
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert rows(Spool(tmp_path, 10_000)) == ROWS[:2]


def broken(tmp_path: Path, place: int) -> Spool:
    """What a spool finds that was left with a flipped bit."""
    spool = Spool(tmp_path, 10_000)
    spool.append(ROWS)
    spool.close()
    path = next(tmp_path.iterdir())
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    return Spool(tmp_path, 10_000)


def test_rows_after_a_flipped_bit_come_back(tmp_path: Path) -> None:
    spool = broken(tmp_path, len(frame(ROWS[0])) + 20)
    for _ in range(2):  # PostgreSQL may go away again in the middle
        assert rows(spool) == [ROWS[0], ROWS[2]]
        (kept,) = tmp_path.glob("*.torn")
        assert len(kept.read_bytes()) == len(frame(ROWS[1]))


def test_flipped_bit_in_a_length_costs_what_follows(tmp_path: Path) -> None:
    second = len(frame(ROWS[0]))
    assert rows(broken(tmp_path, second + 3)) == [ROWS[0]]
    (kept,) = tmp_path.glob("*.torn")
    assert len(kept.read_bytes()) == len(frame(ROWS[1])) + len(frame(ROWS[2]))


def test_living_workers_file_belongs_to_nobody_else(tmp_path: Path) -> None:
    spool, other = Spool(tmp_path, 10_000), Spool(tmp_path, 10_000)
    spool.append(ROWS)
    assert other.take() == []
    spool.close()
    assert rows(other) == ROWS


def test_failed_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, 10_000)
    spool.append(ROWS[:1])

    def fail(_: int) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("inference.spool.os.fdatasync", fail)
        with pytest.raises(OSError, match="no space"):
            spool.append(ROWS[1:])
    assert rows(spool) == ROWS[:1]


def test_removed_file_is_not_adopted(tmp_path: Path) -> None:
    assert Segment.adopt(tmp_path / "gone.spool") is None
