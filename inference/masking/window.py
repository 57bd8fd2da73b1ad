"""A window that slides over a text: whatever pieces it comes in, the same is masked.

What is decided at one place depends on `LEFT` characters before it and `REACH` from it on, so a place is decided once
so many have come; what lies behind is held back, at most `REACH` characters.
"""

from collections import Counter
from typing import NamedTuple

from inference.masking.kinds import LEFT, REACH, Kind, beginnings, find, plain


class Masked(NamedTuple):
    text: str
    counts: Counter[Kind]
    """how many of each kind stand masked in it"""


class Masker:
    """Takes a text piece by piece; `counts` tells what was masked so far.

    `left` is what stands before the text, for the sake of what it says of it.
    """

    def __init__(self, left: str = "") -> None:
        self._text = left
        self._seen = len(left)
        """so much of `_text` is decided"""
        self.counts: Counter[Kind] = Counter()

    def feed(self, piece: str) -> str:
        """What is certain by now."""
        self._text += piece
        return self._decide(len(self._text) - REACH)

    def finish(self) -> str:
        """The rest. Left out, what is held back is given to nobody."""
        return self._decide(len(self._text))

    def _decide(self, before: int) -> str:
        """Decide all places before that one."""
        if before <= self._seen:
            return ""
        compared, done = plain(self._text), []
        look = beginnings(compared).search
        place = looked = self._seen
        while (beginning := look(compared, looked)) and beginning.start() < before:
            looked = beginning.start() + 1
            if found := find(compared, beginning.start()):
                done += [self._text[place : beginning.start()], found.kind.mask]
                self.counts[found.kind] += 1
                place = looked = found.end
        seen = max(place, before)
        done.append(self._text[place:seen])
        kept = max(0, seen - LEFT)
        self._text, self._seen = self._text[kept:], seen - kept
        return "".join(done)


def mask(text: str, left: str = "") -> Masked:
    """The whole text at once."""
    masker = Masker(left)
    return Masked(masker.feed(text) + masker.finish(), masker.counts)
