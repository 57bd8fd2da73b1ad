"""Reading a body: JSON as RFC 8259 has it, in UTF-8, of bounded size and depth, and storable in PostgreSQL."""

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

DEEPEST = 32


class TooLarge(APIException):
    """The body is larger than a management request can be."""

    status_code = 413
    default_code = "too_large"


class StrictJSONParser(BaseParser):
    """Raises `TooLarge`, or `ParseError` for anything that two readers could understand differently."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        del media_type, parser_context
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(most + 1)
        if len(raw) > most:
            raise TooLarge(_("The body is larger than %(most)d bytes.") % {"most": most})
        try:
            value = json.loads(raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant)
        except UnicodeDecodeError as exc:
            raise ParseError(_("The body is not UTF-8.")) from exc
        except (ValueError, RecursionError) as exc:
            raise ParseError(_("The body is not JSON: %(why)s") % {"why": str(exc)[:200]}) from exc
        _check(value, "", DEEPEST)
        return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return fields


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _check(value: Any, place: str, depth: int) -> None:
    """NUL, half characters and infinite numbers cannot be stored; `place` names where they are."""
    if depth == 0:
        raise ParseError(_("The body is nested too deeply."))
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise ParseError(_("%(place)s holds a character that cannot be stored.") % {"place": place or "body"})
    elif isinstance(value, dict):
        for name, item in value.items():
            _check(name, f"{place} (a name)", depth)
            _check(item, f"{place}.{name}".lstrip("."), depth - 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check(item, f"{place}[{index}]", depth - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ParseError(_("%(place)s is not a finite number.") % {"place": place or "body"})
