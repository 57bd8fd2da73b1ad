"""Which characters a text may hold, for REST, console and commands alike.

Refused is what a reader cannot see or what makes a text read otherwise than it is written: controls, line separators,
bidirectional marks and overrides, zero-width and filler characters, tags. Kept are the joiners that some scripts and
emoji need. What is kept is stored in Unicode's composed form (NFC), so that equal texts compare equal.
"""

import unicodedata

LONGEST_TICKET = 100
_ALLOWED_IN_PARAGRAPHS = frozenset("\t\n\r")

# Inclusive ranges. Half characters (U+D800 to U+DFFF) are no text at all; JSON and UTF-8 decoders refuse them first.
UNUSABLE: tuple[tuple[int, int], ...] = (
    (0x0000, 0x001F),
    (0x007F, 0x009F),
    (0x00AD, 0x00AD),  # soft hyphen
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer vowels that are not shown
    (0x180E, 0x180E),  # Mongolian vowel separator
    (0x200B, 0x200B),  # zero-width space
    (0x200E, 0x200F),  # left-to-right and right-to-left marks
    (0x2028, 0x202E),  # line separators, bidirectional embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, bidirectional isolates
    (0x3164, 0x3164),  # Hangul filler
    (0xD800, 0xDFFF),
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),  # half-width Hangul filler
    (0xFFF9, 0xFFFB),  # interlinear annotations
    (0xE0000, 0xE007F),  # tags: whole sentences that nobody sees
)


def unusable_character(text: str, *, paragraphs: bool = False) -> str | None:
    """The first character that no text may hold, as ``U+0000``. `paragraphs` allows tabs and line breaks."""
    if text.isascii() and text.isprintable():
        return None
    for char in text:
        if _is_unusable(ord(char)) and not (paragraphs and char in _ALLOWED_IN_PARAGRAPHS):
            return f"U+{ord(char):04X}"
    return None


def composed(text: str) -> str:
    """The text in NFC: an é that was typed as e and an accent is stored as one character."""
    return unicodedata.normalize("NFC", text)


def _is_unusable(code: int) -> bool:
    return any(first <= code <= last for first, last in UNUSABLE)


def _pattern(*, allowed: frozenset[str] = frozenset()) -> str:
    """The same as one class of an ECMAScript pattern, for the API's description."""
    parts = []
    for first, last in UNUSABLE:
        if 0xD800 <= first <= 0xDFFF:
            continue
        codes = [code for code in range(first, last + 1) if chr(code) not in allowed]
        begin = codes[0]
        for code, after in zip(codes, [*codes[1:], None], strict=True):
            if after != code + 1:
                parts.append(_escaped(begin) if begin == code else f"{_escaped(begin)}-{_escaped(code)}")
                begin = after if after is not None else code
    return f"^[^{''.join(parts)}]*$"


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else chr(code)


ONE_LINE = _pattern()
PARAGRAPHS = _pattern(allowed=_ALLOWED_IN_PARAGRAPHS)
