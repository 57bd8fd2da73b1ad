"""The Lua scripts, read once. Not functions: a restarted server must not come back with them as if nothing was."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from inference.redis_pipeline import bulk

_HERE = Path(__file__).parent / "lua"


class Script(NamedTuple):
    """A script's text and the name under which EVALSHA finds it."""

    text: str
    sha: str

    @property
    def command(self) -> bytes:
        """The first two words of a command that runs it."""
        return bulk("EVALSHA") + bulk(self.sha)


def read(name: str) -> Script:
    """The script with the prelude before it."""
    text = (_HERE / "prelude.lua").read_text() + (_HERE / f"{name}.lua").read_text()
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


TURN, BEAT, JOIN, LEAVE = map(read, ("turn", "beat", "join", "leave"))
FILL, SPEND, ALIGN, ALIVE, SWEEP, BURY = map(read, ("fill", "spend", "align", "alive", "sweep", "bury"))
LOADED = (TURN, BEAT, LEAVE, FILL, SPEND, ALIGN, ALIVE, SWEEP, BURY)
