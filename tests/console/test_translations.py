"""Every text of ours is there in simplified Chinese, and the compiled catalogue is the one that is read."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "locale" / "zh_Hans" / "LC_MESSAGES"
APPS = ("audit", "config", "controlplane", "monitoring", "workers")
KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
}


def _python(code: str) -> Iterator[str]:
    for _line, found, _comments, _context in extract("python", io.BytesIO(code.encode()), keywords=KEYWORDS):
        yield found[0] if isinstance(found, tuple) else found


def _used() -> set[str]:
    used: set[str] = set()
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            if "migrations" not in path.parts:
                used.update(_python(path.read_text()))
    for path in (ROOT / "templates").rglob("*.html"):
        code = templatize(path.read_text(), origin=str(path))
        used.update(_python("\n".join(line.strip() for line in code.splitlines())))
    return used


@pytest.fixture(scope="module")
def chinese() -> dict[str, tuple[str, ...]]:
    catalogue = read_po(io.BytesIO((CATALOGUE / "django.po").read_bytes()))
    return {_key(it.id): _strings(it.string) for it in catalogue if it.id}


def _key(msgid: object) -> str:
    return str(msgid[0] if isinstance(msgid, tuple | list) else msgid)


def _strings(found: object) -> tuple[str, ...]:
    return tuple(found) if isinstance(found, tuple | list) else (str(found),)


def test_every_text_is_translated(chinese):
    used = _used()
    assert len(used) > 300
    assert sorted(it for it in used if not all(chinese.get(it, ("",)))) == []


def test_no_translation_is_left_over(chinese):
    assert sorted(chinese.keys() - _used()) == []


def test_compiled_catalogue_is_the_one_that_is_read(chinese):
    compiled = read_mo(io.BytesIO((CATALOGUE / "django.mo").read_bytes()))
    assert {_key(it.id): _strings(it.string) for it in compiled if it.id} == chinese


def test_placeholders_are_the_same(chinese):
    names = re.compile(r"%\(\w+\)[a-z]|\{\w*\}(?!\})")
    for msgid, strings in chinese.items():
        for string in strings:
            assert sorted(names.findall(msgid)) == sorted(names.findall(string)), msgid
