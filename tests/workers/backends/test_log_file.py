"""The bounded log."""

from pathlib import Path

import pytest

from workers.backends.process.log_file import LogFile, tail


def _sizes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in directory.iterdir()}


def test_full_log_is_rotated(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "engine.log", most_bytes=100, kept=2)
    for number in range(4):
        log.write(f"{number}".encode() * 60)
    assert _sizes(tmp_path) == {"engine.log": 60, "engine.1.log": 60, "engine.2.log": 60}
    assert (tmp_path / "engine.2.log").read_text() == "1" * 60


def test_huge_write_keeps_the_bound(tmp_path: Path) -> None:
    LogFile(tmp_path / "engine.log", most_bytes=100, kept=3).write(b"x" * 10_000)
    assert sum(_sizes(tmp_path).values()) <= 400


def test_log_goes_on_after_a_restart(tmp_path: Path) -> None:
    for word in (b"one\n", b"two\n"):
        LogFile(tmp_path / "engine.log").write(word)
    assert (tmp_path / "engine.log").read_text() == "one\ntwo\n"


def test_own_lines_begin_on_a_line(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "engine.log")
    log.write(b"cut off")
    log.say("hello")
    assert (tmp_path / "engine.log").read_text() == "cut off\nsignalbox: hello\n"


def test_full_disk_loses_lines_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "engine.log"
    log = LogFile(path)
    log.write(b"lost\n")
    path.parent.mkdir()
    log.write(b"kept\n")
    assert path.read_text() == "signalbox: 5 bytes of log lost, the disk was full\nkept\n"


@pytest.mark.parametrize(("content", "expected"), [(b"", ""), (b"a\nb\nc\n", "b\nc"), (b"\xff\0\n", "\ufffd")])
def test_tail_gives_the_last_lines(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "engine.log").write_bytes(content)
    assert tail(tmp_path / "engine.log", lines=2) == expected


def test_tail_begins_on_a_line(tmp_path: Path) -> None:
    (tmp_path / "engine.log").write_bytes(b"first line\nsecond\n")
    assert tail(tmp_path / "engine.log", most_bytes=12) == "second"


def test_tail_of_nothing(tmp_path: Path) -> None:
    assert tail(tmp_path / "engine.log") == ""
