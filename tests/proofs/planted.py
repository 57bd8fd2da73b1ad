"""Secrets that are looked for in everything that was written, in each form in which one is likely to lie there."""

import base64
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx

from controlplane import tokens
from inference.contract import keys

KINDS = (keys.PREFIX, tokens.MANAGEMENT, tokens.REFRESH)
SHORTEST = 12
"""characters of a secret: a shorter one would be found by chance"""


def forms(secret: bytes) -> set[bytes]:
    """As it is, in hexadecimal, percent-encoded, and as base64 shows it wherever it stands in a longer text."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(), quote(secret, safe="").encode()}
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + secret)
        whole = encoded[-(-shift * 8 // 6) : (len(secret) + shift) * 8 // 6]
        found |= {whole, whole.replace(b"+", b"-").replace(b"/", b"_")}
    return found


@dataclass
class Planted:
    """Names of secrets, and what each looks like."""

    patterns: dict[bytes, str] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        return set(self.patterns.values())

    def plant(self, name: str, secret: str) -> str:
        """Look for this one as well; of a key or a token its secret part alone is enough to harm."""
        parsed = next(filter(None, (keys.parse(secret, kind) for kind in KINDS)), None)
        for text in (secret, secret.split("_")[2]) if parsed else (secret,):
            assert len(text) >= SHORTEST, f"{name} is too short"
            assert "\n" not in text
            self.patterns |= dict.fromkeys(forms(text.encode()), name)
        return secret

    def found_in(self, data: bytes) -> set[str]:
        return {name for pattern, name in self.patterns.items() if pattern in data}

    def found_below(self, directory: Path) -> set[str]:
        """``file: secret`` for each find in the files of a directory, whatever is in them."""
        with tempfile.NamedTemporaryFile() as patterns:
            patterns.write(b"\n".join(self.patterns))
            patterns.flush()
            argv = ["grep", "-r", "-l", "-a", "-F", "-D", "skip", "-f", patterns.name, str(directory)]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode in {0, 1}, done.stderr
        files = [Path(line) for line in done.stdout.splitlines()]
        return {f"{file.relative_to(directory)}: {name}" for file in files for name in self.found_in(file.read_bytes())}


class Answers:
    """Every answer that a client was given, with its head; looked through at the end, when all secrets are known."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, bytes, frozenset[str]]] = []

    def keep(self, what: str, data: bytes, may_show: Iterable[str] = ()) -> None:
        """`may_show` are the names of secrets that this very answer is there to show."""
        self._kept.append((what, data, frozenset(may_show)))

    def __len__(self) -> int:
        return len(self._kept)

    def hold(self, text: bytes) -> bool:
        return any(text in data for _, data, _ in self._kept)

    def found(self, planted: Planted) -> set[str]:
        """``request: secret`` for each find."""
        return {
            f"{what}: {name}" for what, data, may_show in self._kept for name in planted.found_in(data) - may_show
        }  # fmt: skip


def whole(response: httpx.Response) -> bytes:
    """Head and body of an answer, but for cookies: each goes to the browser that it belongs to."""
    head = "".join(f"{name}: {value}\n" for name, value in response.headers.multi_items() if name != "set-cookie")
    return f"{head}\n".encode() + response.content
