"""A request body, read only as far as the gateway must: its top level, each value left as the bytes it came in.

The body that goes to the engine is written from what was read here. So the engine sees exactly the model that was
checked, whatever the client did with duplicate keys, escapes in keys or odd whitespace.
"""

from typing import Any, TypeVar

import msgspec

from inference.errors import BadRequest

Fields = dict[str, msgspec.Raw]
T = TypeVar("T")

_decode_fields = msgspec.json.Decoder(Fields).decode
_decode_model = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool | None).decode
_decode_count = msgspec.json.Decoder(int | None).decode
_decode_options = msgspec.json.Decoder(Fields | None).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_TRUE = msgspec.Raw(b"true")
LONGEST_NUMBER = 4_300
"""digits of the largest whole number that engines' parsers read"""
_DIGITS = b"0" * LONGEST_NUMBER
_DIGITS_ALIKE = bytes(ord("0") if chr(byte).isascii() and chr(byte).isdigit() else byte for byte in range(256))
LARGEST_COUNT = 2**31 - 1
BYTES_A_TOKEN = 4
"""by which a prompt is estimated before anybody has tokenized it"""
_COUNTS = {"max_tokens": 0, "max_completion_tokens": 0, "max_output_tokens": 0, "n": 1}
"""amounts and the least of each; what is too much is the engine's to say"""


class Call(msgspec.Struct):
    """What the client asks for. `fields` are the body's top level."""

    model: str
    stream: bool
    wants_usage: bool
    """whatever a stream tells of its usage is for the client, too"""
    fields: Fields

    def estimated_tokens(self) -> int:
        """About as many tokens as all that was given to the model, at least 1."""
        return sum(memoryview(value).nbytes for value in self.fields.values()) // BYTES_A_TOKEN + 1

    def body_for(self, served_name: str) -> bytes:
        """The body for an engine that knows the model under that name."""
        return _encode({**self.fields, "model": served_name})


def read_call(body: bytes) -> Call:
    """The call in a body. Raises `BadRequest` that names the offending field."""
    fields = _top_level(body)
    if "model" not in fields:
        raise BadRequest("The body has no 'model'.", param="model")
    model = _value(fields, "model", _decode_model, "a string")
    stream = bool(_value(fields, "stream", _decode_flag, "true or false")) if "stream" in fields else False
    _check_counts(fields)
    return Call(model, stream, True, fields)


def read_call_with_usage(body: bytes) -> Call:
    """Like `read_call`, for APIs whose streams tell the usage only when asked to: the gateway asks."""
    call = read_call(body)
    call.wants_usage = _ask_for_usage(call.fields) if call.stream else False
    return call


def _check_counts(fields: Fields) -> None:
    """Amounts that no engine can serve end here: limits are reserved by them, and some engines fail on them."""
    for name, least in _COUNTS.items():
        if name in fields:
            count = _value(fields, name, _decode_count, "a whole number")
            if count is not None and not least <= count <= LARGEST_COUNT:
                raise BadRequest(f"'{name}' must lie between {least} and {LARGEST_COUNT}.", param=name)


def _top_level(body: bytes) -> Fields:
    try:
        if not body.isascii():
            body.decode()  # msgspec does not look into values that it leaves as they are
        fields = _decode_fields(body)
        if len(body) > LONGEST_NUMBER and _DIGITS in body.translate(_DIGITS_ALIKE):
            _decode(body)  # there may be a number that no engine's parser takes; most of them fail on it
        return fields
    except msgspec.ValidationError as exc:
        if "out of range" in str(exc):
            raise BadRequest("The body holds a number that is out of range.") from None
        raise BadRequest("The body must be a JSON object.") from None
    except UnicodeDecodeError:
        raise BadRequest("The body is not valid UTF-8.") from None
    except msgspec.DecodeError as exc:
        raise BadRequest(f"The body is not valid JSON: {exc}") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None


def _value(fields: Fields, name: str, decode: Any, what: str) -> Any:
    try:
        return decode(fields[name])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BadRequest(f"'{name}' must be {what}.", param=name) from None


def _ask_for_usage(fields: Fields) -> bool:
    """Make the engine tell the usage at the end of a stream. True if the client asked for it, too."""
    options: Fields = {}
    if "stream_options" in fields:
        options = _value(fields, "stream_options", _decode_options, "an object") or {}
    asked = False
    if "include_usage" in options:
        asked = bool(_value(options, "include_usage", _decode_flag, "true or false"))
    fields["stream_options"] = msgspec.Raw(_encode({**options, "include_usage": _TRUE}))
    return asked
