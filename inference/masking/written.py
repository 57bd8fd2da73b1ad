"""Personal data inside JSON: seen through escapes, and the JSON stays JSON.

The document is never parsed as a whole, so one that was cut off is masked as well, and what is not touched stays as it
was written.
"""

import json
import re
from collections import Counter

from inference.masking.kinds import LEFT, Kind
from inference.masking.window import Masked, Masker, mask

DEEPEST = 3
"""JSON in a string of JSON, as arguments of tools are"""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|(?<![\w.+-])-?[0-9]{9,19}(?![\w.+-])|"', re.DOTALL)
_TELLING = re.compile(r"[0-9０-９@＠\\]")
"""without one of these, nothing can be meant"""
_BROKEN_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?$")


def mask_json(text: str, *, whole: bool = True, depth: int = DEEPEST) -> Masked:
    """The document; not `whole`: only its beginning, and what its end may be the beginning of is left out."""
    counts: Counter[Kind] = Counter()
    done, place = [], 0
    for token in _TOKEN.finditer(text):
        left = text[max(0, token.start() - LEFT) : token.start()]
        if token[0] == '"':  # a string without an end
            done += [text[place : token.start()], '"', _unfinished(text[token.end() :], left, counts, whole=whole)]
            return Masked("".join(done), counts)
        if (masked := _masked(token[0], left, counts, depth)) is not None:
            done += [text[place : token.start()], masked]
            place = token.end()
    rest = text[place:]
    return Masked("".join(done) + (rest if whole else re.sub(r"[0-9]{1,19}\Z", "", rest)), counts)


def _masked(token: str, left: str, counts: Counter[Kind], depth: int) -> str | None:
    """None: as it is."""
    if not token.startswith('"'):
        number = mask(token, left)
        counts += number.counts
        return f'"{number.text}"' if number.counts else None
    if not _TELLING.search(token):
        return None
    try:
        said = json.loads(token, strict=False)
    except ValueError:
        said = token[1:-1]
    found = _inside(said, left, depth)
    if not found.counts:
        return None
    counts += found.counts
    return json.dumps(found.text, ensure_ascii=token.isascii())


def _inside(said: str, left: str, depth: int) -> Masked:
    if depth and said.lstrip()[:1] in {"{", "["}:
        try:
            json.loads(said)
        except (ValueError, RecursionError):
            pass
        else:
            return mask_json(said, depth=depth - 1)
    return mask(said, left)


def _unfinished(rest: str, left: str, counts: Counter[Kind], *, whole: bool) -> str:
    rest = _BROKEN_ESCAPE.sub("", rest)
    try:
        said = json.loads(f'"{rest}"', strict=False)
    except ValueError:
        said = rest
    masker = Masker(left)
    text = masker.feed(said) + (masker.finish() if whole else "")
    counts += masker.counts
    return json.dumps(text, ensure_ascii=rest.isascii())[1:-1]
