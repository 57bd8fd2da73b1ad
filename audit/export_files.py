"""An export's files in its directory: appended to a whole part at a time, and cut back to what is known to be whole."""

import fcntl
import hashlib
import os
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from isal import igzip

from audit.exporting import Format, Part, Place, member, part

BLOCK = 1 << 20


class Sizes(NamedTuple):
    """How many bytes of each file are whole parts."""

    content: int = 0
    leaves: int = 0
    numbers: int = 0


class Busy(Exception):
    """Somebody else on this machine writes the export."""


class Digests(NamedTuple):
    """SHA-256 in hexadecimal."""

    file: str
    content: str
    leaves: str


@dataclass(frozen=True)
class Files:
    """The paths. An export by a worker is compressed; a command writes what its file's name says."""

    directory: Path
    name: str
    form: Format
    compressed: bool = True
    exactly: Path | None = None
    """the file of the rows, where somebody has said its name"""

    @property
    def content(self) -> Path:
        return self.exactly or self.directory / f"{self.name}.{self.form.value}{'.gz' if self.compressed else ''}"

    @property
    def leaves(self) -> Path:
        return self.directory / f"{self.name}.leaves"

    @property
    def numbers(self) -> Path:
        """Which rows these are, for the manifest; nobody gets it."""
        return self.directory / f"{self.name}.numbers.gz"

    @property
    def manifest(self) -> Path:
        return self.directory / f"{self.name}.manifest.json"

    @property
    def signature(self) -> Path:
        return self.directory / f"{self.name}.manifest.sig"

    def shown(self) -> dict[str, Path]:
        """What may be fetched, by what it is called."""
        return {"content": self.content, "leaves": self.leaves, "manifest": self.manifest, "signature": self.signature}

    def remove(self) -> None:
        for path in (*self.shown().values(), self.numbers):
            path.unlink(missing_ok=True)

    @contextmanager
    def opened(self, whole: Sizes) -> Iterator["Appending"]:
        """Open for appending behind what is whole; the rest of an unfinished part is cut off.

        Raises `Busy`, and OSError as the file system does.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handles: list[int] = []
        try:
            handles.extend(
                os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for path in (self.content, self.leaves, self.numbers)
            )
            _lock(handles[0])
            for handle, size in zip(handles, whole, strict=True):
                if os.fstat(handle).st_size < size:
                    raise FileNotFoundError(f"{self.name}: a part that was written is gone")
                os.ftruncate(handle, size)
                os.lseek(handle, size, os.SEEK_SET)
            yield Appending(handles, whole, compressed=self.compressed)
        finally:
            for handle in handles:
                os.close(handle)

    def digests(self) -> Digests:
        """Read once from beginning to end: what is there is what was meant to be there."""
        file, content = hashlib.sha256(), hashlib.sha256()
        with self.content.open("rb") as raw:
            for block in iter(lambda: raw.read(BLOCK), b""):
                file.update(block)
        with igzip.open(self.content) if self.compressed else self.content.open("rb") as plain:
            for block in iter(lambda: plain.read(BLOCK), b""):
                content.update(block)
        with self.leaves.open("rb") as leaves:
            return Digests(file.hexdigest(), content.hexdigest(), hashlib.file_digest(leaves, "sha256").hexdigest())


def _lock(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise Busy from exc


class Appending:
    """Three files that grow together."""

    def __init__(self, handles: list[int], whole: Sizes, *, compressed: bool) -> None:
        self._handles, self.whole, self._compressed = handles, whole, compressed

    def append(self, new: Part) -> Sizes:
        """Write a part durably; answers what is whole then. Raises OSError, and then nothing of it counts."""
        return self.write(new.content, new.leaves, new.numbers)

    def write(self, content: bytes, leaves: bytes = b"", numbers: bytes = b"") -> Sizes:
        written = (member(content) if self._compressed else content, leaves, member(numbers) if numbers else b"")
        for handle, block in zip(self._handles, written, strict=True):
            _write_all(handle, block)
            os.fdatasync(handle)
        self.whole = Sizes(*(size + len(block) for size, block in zip(self.whole, written, strict=True)))
        return self.whole


class Written(NamedTuple):
    """A part that is durably in the files."""

    rows: int
    last: Place
    whole: Sizes


def append_all(file: Appending, form: Format, parts: Iterable[list[bytes]]) -> Generator[Written, None, None]:
    """Append rows as COPY gives them, a part at a time; close it before the files.

    A thread makes the bytes and writes them while the next part's rows are fetched here.
    """
    with ThreadPoolExecutor(1) as thread:
        later: Future[Written] | None = None
        for rows in parts:
            done = later.result() if later else None
            later = thread.submit(_append, file, form, rows)
            if done:
                yield done
        if later:
            yield later.result()


def _append(file: Appending, form: Format, rows: list[bytes]) -> Written:
    new = part(rows, form)
    return Written(new.rows, new.last, file.append(new))


def _write_all(handle: int, block: bytes) -> None:
    left = memoryview(block)
    while left:
        left = left[os.write(handle, left) :]
