"""Where records wait while PostgreSQL is away: an fsynced, bounded file of the worker's own.

A frame is the length and the CRC-32 of a packed row, then the row. A torn end, as a power cut leaves it, is left out,
and so is a row of which a bit has flipped.
Files are locked while their worker lives; what is found unlocked was left by one that died and belongs to whoever
finds it. Rows are taken out only after they have been committed, so a row may be read twice but never not at all.
"""

import fcntl
import logging
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

from inference.contract.ids import uuid7

logger = logging.getLogger(__name__)

SUFFIX = ".spool"
_FRAME = struct.Struct("!II")
LONGEST_SEGMENT = 8 * 1024 * 1024
"""a file is read whole when it is brought back"""
KEPT_FOR_OUTCOMES = 0.1
"""of the bytes: what was begun can end, when nothing new may begin"""


class SpoolFull(OSError):
    """The spool holds as many bytes as it may."""


class Segment:
    """A locked file of frames."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    @classmethod
    def create(cls, directory: Path) -> "Segment":
        """A new one, its name on the disk. Raises OSError."""
        path = directory / f"{uuid7().hex}{SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _sync_directory(directory)
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, path: Path) -> "Segment | None":
        """One that a dead worker left, or None when its worker lives or somebody else was faster."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink == 0:  # written back by its finder between our two steps
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def append(self, frames: bytes) -> None:
        """Write and sync, or leave the file as it was. Raises OSError."""
        try:
            written = 0
            while written < len(frames):
                written += os.pwrite(self.descriptor, frames[written:], self.size + written)
            os.fdatasync(self.descriptor)
        except OSError:
            os.ftruncate(self.descriptor, self.size)
            raise
        self.size += len(frames)

    def rows(self) -> Iterator[bytes]:
        """The packed rows. What cannot be read is left out: a row, or all from there on where its length is broken."""
        content = os.pread(self.descriptor, self.size, 0)
        place = 0
        while place < len(content):
            row = _row_at(content, place)
            if row is None:
                end = _next_whole(content, place)
                logger.error("spool: %s is torn from byte %d to %d of %d", self.path.name, place, end, len(content))
                self._keep_beside(content, place, end)
                place = end
            else:
                yield row
                place += _FRAME.size + len(row)

    def _keep_beside(self, content: bytes, begin: int, end: int) -> None:
        """What could not be read stays, for whoever wants to look."""
        self.path.with_suffix(f".{begin}.torn").write_bytes(content[begin:end])

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)

    def close(self) -> None:
        """Let go of the file; the next worker that starts finds it."""
        os.close(self.descriptor)


def _row_at(content: bytes, place: int) -> bytes | None:
    if place + _FRAME.size > len(content):
        return None
    length, checksum = _FRAME.unpack_from(content, place)
    row = content[place + _FRAME.size : place + _FRAME.size + length]
    return row if length and len(row) == length and zlib.crc32(row) == checksum else None


def _next_whole(content: bytes, place: int) -> int:
    """Where the frame after a broken one begins; the end if there is none where it should be."""
    if place + _FRAME.size <= len(content):
        length: int = _FRAME.unpack_from(content, place)[0]
        following = place + _FRAME.size + length
        if _row_at(content, following) is not None:
            return following
    return len(content)


def frame(row: bytes) -> bytes:
    """A packed row as the file holds it."""
    return _FRAME.pack(len(row), zlib.crc32(row)) + row


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Spool:
    """One worker's spool. Its methods may block on the disk: call them from a thread; they exclude each other."""

    def __init__(self, directory: Path, most_bytes: int) -> None:
        self._directory = directory
        self._most = most_bytes
        self._lock = threading.Lock()
        self._open: Segment | None = None
        self._closed: list[Segment] = []

    @property
    def size(self) -> int:
        """Bytes that wait here."""
        return sum(segment.size for segment in self._segments())

    @property
    def takes_more(self) -> bool:
        """Whether something new may begin."""
        return self.size < self._most * (1 - KEPT_FOR_OUTCOMES)

    def _segments(self) -> list[Segment]:
        return [*self._closed, *([self._open] if self._open else [])]

    def append(self, rows: list[bytes]) -> None:
        """Return once the rows are on the disk. Raises `SpoolFull` or OSError; then none of them is."""
        frames = b"".join(map(frame, rows))
        with self._lock:
            if self.size + len(frames) > self._most:
                raise SpoolFull(f"the spool is full ({self._most} bytes)")
            if self._open is not None and self._open.size > LONGEST_SEGMENT:
                self._closed.append(self._open)
                self._open = None
            if self._open is None:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._open = Segment.create(self._directory)
            self._open.append(frames)

    def take(self) -> list[Segment]:
        """All that waits, orphans included; `done` takes each out for good. New rows go to a new file."""
        with self._lock:
            if self._open is not None:
                self._closed.append(self._open)
                self._open = None
            mine = {segment.path for segment in self._closed}
            for path in sorted(self._directory.glob(f"*{SUFFIX}")):
                if path not in mine and (orphan := Segment.adopt(path)) is not None:
                    self._closed.append(orphan)
            return list(self._closed)

    def done(self, segment: Segment) -> None:
        """Its rows are committed."""
        with self._lock:
            self._closed.remove(segment)
            segment.remove()

    def close(self) -> None:
        """Leave what waits to the next start."""
        with self._lock:
            for segment in self._segments():
                segment.close()
            self._closed, self._open = [], None
