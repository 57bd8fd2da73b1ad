"""A log of bounded size. Standard library only: the shim writes it."""

from pathlib import Path

MOST_BYTES = 8 * 1024 * 1024
KEPT = 3


class LogFile:
    """Appends to `path`; when that is full it becomes ``NAME.1.log``, the one before ``NAME.2.log``, up to `KEPT`.

    A disk that is full loses lines, never the engine: errors are swallowed and told once there is room again.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES, kept: int = KEPT) -> None:
        self._path, self._most, self._kept = path, most_bytes, kept
        self._lost = 0
        self._in_line = False

    def write(self, data: bytes) -> None:
        """Append in pieces, so that one huge write is rotated too."""
        for start in range(0, len(data), self._most):
            self._append(data[start : start + self._most])
        self._in_line = not data.endswith(b"\n")

    def say(self, line: str) -> None:
        """A line of our own between those of the engine."""
        self.write(b"\n" * self._in_line + f"signalbox: {line}\n".encode())

    def _append(self, data: bytes) -> None:
        try:
            if self._size() + len(data) > self._most:
                self._rotate()
            note = f"signalbox: {self._lost} bytes of log lost, the disk was full\n".encode() if self._lost else b""
            with self._path.open("ab", buffering=0) as file:
                file.write(note + data)
            self._lost = 0
        except OSError:
            self._lost += len(data)

    def _size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def _rotate(self) -> None:
        for number in range(self._kept, 0, -1):
            older = self._older(number)
            if number == self._kept:
                older.unlink(missing_ok=True)
            elif older.exists():
                older.rename(self._older(number + 1))
        if self._path.exists():
            self._path.rename(self._older(1))

    def _older(self, number: int) -> Path:
        return self._path.with_suffix(f".{number}{self._path.suffix}")


def tail(path: Path, most_bytes: int = 16_384, lines: int = 120) -> str:
    """The last lines of a log; empty when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - most_bytes))
            content = file.read(most_bytes)
    except OSError:
        return ""
    if size > most_bytes:
        content = content.partition(b"\n")[2] or content
    return "\n".join(content.decode("utf-8", "replace").replace("\0", "").splitlines()[-lines:])
