"""What personal data looks like, and how it is told from what only looks like it.

`find` decides for one place of a text, from at most `LEFT` characters before it and `REACH` from it on. Checksums and
dates are python-stdnum's; where a number has none, its neighbours decide: an order number is no telephone.
"""

import re
import string
from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from stdnum import luhn
from stdnum.cn import ric
from stdnum.exceptions import ValidationError


class Kind(StrEnum):
    """What was found; also the label of its metric."""

    RESIDENT_ID = "resident_id"
    BANK_CARD = "bank_card"
    MOBILE = "mobile"
    PASSPORT = "passport"
    LICENCE_PLATE = "licence_plate"
    EMAIL = "email"

    @property
    def mask(self) -> str:
        """What stands in its place: ASCII, nothing that JSON would escape, and nothing that is found again."""
        return f"[{self.value.upper()}]"


class Found(NamedTuple):
    kind: Kind
    end: int


LEFT = 32
REACH = 400

# Full-width forms, dashes and odd spaces read as their plain ones: one character for one, so that places stay.
_PLAIN = {0xFF00 + ord(sign) - 0x20: ord(sign) for sign in string.digits + string.ascii_letters + "@.-+_"}
_PLAIN |= dict.fromkeys(map(ord, "\u3000\u00a0\u2002\u2003\u2009\u202f"), ord(" "))
_PLAIN |= dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), ord("-"))
_ODD = re.compile(f"[{''.join(map(chr, _PLAIN))}]")


def plain(text: str) -> str:
    """The text as it is compared; as long as it was."""
    return text.translate(_PLAIN) if _ODD.search(text) else text


_PROVINCE = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_EMAIL = (
    r"(?<![A-Za-z0-9._%+@-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}+@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,4}[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
_BEGINNING = (
    r"(?<![0-9])(?:\(?\+)?[0-9](?:\)?[ .-]?[0-9]){8}|(?<![A-Za-z0-9])[A-Za-z]{1,2}[0-9]{7}"
    rf"|[{_PROVINCE}](?=[A-Za-z])"
)
_BEGINNING_OF_NUMBER = re.compile(_BEGINNING)
_BEGINNING_OF_ANY = re.compile(rf"{_BEGINNING}|{_EMAIL}")


def beginnings(text: str) -> re.Pattern[str]:
    """Finds where something may begin in a `plain` text; nothing begins elsewhere.

    Most texts have no e-mail address, and looking for one at each word takes longest.
    """
    return _BEGINNING_OF_ANY if "@" in text else _BEGINNING_OF_NUMBER


_ENDS = r"(?![0-9A-Za-z_])(?!\.[0-9])(?!-[0-9A-Za-z])"
_RESIDENT_ID = re.compile(
    r"(?:[0-9]{6}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{3}[ -]?[0-9Xx]"
    rf"|[0-9]{{4}}([ -])[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}\1[0-9][0-9Xx]){_ENDS}"
)
_BANK_CARD = re.compile(
    r"(?:[0-9]{13,19}|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,3})?|[0-9]{6}[ -][0-9]{10,13}"
    rf"|3[0-9]{{3}}([ -])[0-9]{{6}}\2[0-9]{{5}}){_ENDS}"
)
_ISSUERS = re.compile(r"62|4|5[1-5]|2[2-7]|3[47]|35|6011|65|9558")
_MOBILE = re.compile(
    r"(?:(?:\(?\+86\)?|0086|86)[ -]?)?"
    rf"1(?:3[0-9]|4[014-9]|5[0-35-9]|6[2567]|7[0-8]|8[0-9]|9[0-9])([ .-]?)[0-9]{{4}}\1[0-9]{{4}}{_ENDS}"
)
_PASSPORT = re.compile(rf"(?:[EG][0-9]{{8}}|E[A-HJ-NP-Z][0-9]{{7}}){_ENDS}")
_ANY_PASSPORT = re.compile(rf"(?:[A-Za-z]{{1,2}}[0-9]{{7,8}}|[0-9]{{9}}){_ENDS}")
_PLATE = re.compile(
    rf"[{_PROVINCE}][A-HJ-NP-Z][ ·•.-]?"
    r"(?:[A-HJK][A-HJ-NP-Z0-9][0-9]{4}|[0-9]{5}[A-HJK]|[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳领使])(?![A-Z0-9])",
    re.IGNORECASE,
)
_WHOLE_EMAIL = re.compile(_EMAIL)

_NUMBER_OF_A_THING = re.compile(
    r"(?:订单|单号|流水|运单|快递|工单|批次|批号|发票|编码|型号|料号|零件|order|ticket|trace|invoice|tracking|sku|serial"
    r"|part|model|batch|timestamp|request|build|commit)"
    r"(?:[ _-]?(?:号码?|编号|no\.?|id|number|num))?[ \"']{0,2}[:：=#是为]?[ \"'#]{0,2}$",
    re.IGNORECASE,
)
_OF_A_PERSON = re.compile(
    r"(?:tel|phone|mobile|mob|cell|call|sms|fax|id|card|no|vx|wx|wechat|passport|plate)[ ._:：-]?$", re.IGNORECASE
)
_IN_A_PASSPORT = re.compile(r"(?:护照|通行证|passport|travel document)[^。；;|\n]{0,16}$", re.IGNORECASE)
_AMOUNT = re.compile(r" ?(?:元|美元|万|亿|字节|毫秒|微秒|纳秒|bytes?|ms|us|ns|[Kk]?[Bb]\b|tokens?)")
_FILES = frozenset(
    [
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "ico",
        "css",
        "js",
        "ts",
        "map",
        "json",
        "html",
        "htm",
        "txt",
        "md",
        "py",
        "zip",
        "gz",
        "whl",
    ]
)


def find(text: str, place: int) -> Found | None:
    """What begins at that place of a `plain` text, if anything does. A place is one of `beginnings`."""
    left = text[max(0, place - LEFT) : place]
    first = text[place]
    for pattern, kind, check in _KINDS_AT["0" if first in "0123456789(+" else "A" if first.isascii() else "京"]:
        match = pattern.match(text, place)
        if match is not None and check(match, left):
            return Found(kind, match.end())
    return None


def _stands_free(left: str) -> bool:
    """No part of a longer word, number, amount or hash; letters before it may only say what it is."""
    before = left[-1:]
    if before in {"¥", "￥", "$", "€", "£", "_"}:
        return False
    joined = before.isascii() and (before.isalpha() or (before in {"-", "."} and left[-2:-1].isalnum()))
    return not joined or not left[-2:-1].isascii() or bool(_OF_A_PERSON.search(left))


def _digits(match: re.Match[str]) -> str:
    return re.sub(r"[ .-]", "", match[0]).upper()


def _is_resident_id(match: re.Match[str], left: str) -> bool:
    number = _digits(match)
    try:
        ric.get_birth_date(number)
    except ValidationError:
        return False
    plausible = "11" <= number[:2] <= "91" and date.today().year >= int(number[6:10]) >= 1880  # noqa: DTZ011
    return plausible and ric.calc_check_digit(number[:-1]) == number[-1] and _stands_free(left)


def _is_bank_card(match: re.Match[str], left: str) -> bool:
    number = _digits(match)
    return bool(
        13 <= len(number) <= 19 and _ISSUERS.match(number) and len(set(number)) > 1 and luhn.is_valid(number)
        and _stands_free(left) and not _NUMBER_OF_A_THING.search(left)
    )  # fmt: skip


def _is_mobile(match: re.Match[str], left: str) -> bool:
    amount = _AMOUNT.match(match.string, match.end())
    return not amount and _stands_free(left) and not _NUMBER_OF_A_THING.search(left)


def _is_passport(match: re.Match[str], left: str) -> bool:
    del match
    return _stands_free(left) and not _NUMBER_OF_A_THING.search(left)


def _is_called_passport(match: re.Match[str], left: str) -> bool:
    return bool(_IN_A_PASSPORT.search(left)) and _is_passport(match, left)


def _is_plate(match: re.Match[str], left: str) -> bool:
    """At most two letters, as the numbering has it, beside the one of the city."""
    del left
    return sum(char.isascii() and char.isalpha() for char in match[0]) <= 3


def _is_email(match: re.Match[str], left: str) -> bool:
    del left
    address = match[0]
    return ".." not in address and address.rpartition(".")[2].lower() not in _FILES


Check = Callable[[re.Match[str], str], bool]
_Rule = tuple[re.Pattern[str], Kind, Check]
_BY_NUMBER: tuple[_Rule, ...] = (
    (_WHOLE_EMAIL, Kind.EMAIL, _is_email),
    (_RESIDENT_ID, Kind.RESIDENT_ID, _is_resident_id),
    (_BANK_CARD, Kind.BANK_CARD, _is_bank_card),
    (_MOBILE, Kind.MOBILE, _is_mobile),
    (_ANY_PASSPORT, Kind.PASSPORT, _is_called_passport),
)
_BY_LETTER: tuple[_Rule, ...] = (
    (_WHOLE_EMAIL, Kind.EMAIL, _is_email),
    (_PASSPORT, Kind.PASSPORT, _is_passport),
    (_ANY_PASSPORT, Kind.PASSPORT, _is_called_passport),
)
_KINDS_AT: dict[str, tuple[_Rule, ...]] = {
    "0": _BY_NUMBER, "A": _BY_LETTER, "京": ((_PLATE, Kind.LICENCE_PLATE, _is_plate),),
}  # fmt: skip
"""which kinds begin with such a character"""
