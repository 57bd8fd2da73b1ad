"""Which characters a text may hold."""

# The same as below for the API's description, as ECMAScript writes it.
ONE_LINE = r"^[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$"
PARAGRAPHS = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$"

_ALLOWED_IN_PARAGRAPHS = frozenset("\t\n\r")


def unusable_character(text: str, *, paragraphs: bool = False) -> str | None:
    """The first character that no text may hold, as ``U+0000``: controls, half characters, bidirectional overrides.

    `paragraphs` allows tabs and line breaks.
    """
    for char in text:
        if _is_unusable(ord(char)) and not (paragraphs and char in _ALLOWED_IN_PARAGRAPHS):
            return f"U+{ord(char):04X}"
    return None


def _is_unusable(code: int) -> bool:
    return (
        code < 0x20
        or 0x7F <= code < 0xA0
        or 0xD800 <= code < 0xE000
        or 0x202A <= code <= 0x202E  # they make a text read otherwise than it is written
        or 0x2066 <= code <= 0x2069
    )
