"""A disk that forgets what was not synced when its power is cut.

An ext4 file system of its own on a loop device. The cut is ext4's own, which file systems are tested with
(EXT4_IOC_SHUTDOWN, without flushing its log): from that moment every write and sync fails, and what was only in the
page cache, contents as well as names, is gone with the next mount.

What it does not model: a disk with a cache of its own that loses or reorders what it was sent and not yet told to
flush, and sectors that are torn in the middle.
"""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import needed

_SHUTDOWN, _WITHOUT_FLUSHING = 0x8004587D, 2


class Volume:
    """Mounted at `path`."""

    def __init__(self, image: Path, path: Path) -> None:
        self._image, self.path = image, path
        path.mkdir()
        self._mount()
        path.chmod(0o755)

    def _mount(self) -> None:
        done = _run("mount", "-o", "loop", str(self._image), str(self.path))
        if done.returncode:
            pytest.skip(f"a volume of its own cannot be mounted here: {done.stderr.strip()}")

    def cut(self) -> None:
        """The power is gone. Kill what runs on it, then `restore`.

        Freeze whoever would tell of a sync before: power goes from processes too, and the kernel answers some syncs
        that are under way during the cut as if they had succeeded, though what they wrote is gone.
        """
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING))
        finally:
            os.close(descriptor)

    def restore(self) -> None:
        """As after the power is back: the file system's log is replayed, nothing else is there."""
        self.unmount()
        self._mount()

    def unmount(self) -> None:
        """Processes that were just killed may hold it for a moment."""
        for _ in range(100):
            if not _run("umount", str(self.path)).returncode:
                return
            time.sleep(0.1)
        raise RuntimeError(f"{self.path} is still in use")


def _run(*argv: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@contextlib.contextmanager
def volume(place: Path, megabytes: int) -> Iterator[Volume]:
    """A new one below `place`; skips the test for a user or a container that may not mount."""
    if os.geteuid():
        pytest.skip("only root may mount a volume whose power can be cut")
    make = needed("mkfs.ext4", "e2fsprogs")
    place.mkdir()
    image = place / "volume.img"
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run([make, "-q", "-F", str(image)], check=True)
    made = Volume(image, place / "volume")
    try:
        yield made
    finally:
        made.unmount()
        shutil.rmtree(place, ignore_errors=True)
