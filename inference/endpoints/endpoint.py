"""The shape of an endpoint: data, so that a new one is a line in a table."""

from collections.abc import Callable

import msgspec

from inference.endpoints.call import Call, read_call
from inference.errors import GatewayError, openai_body
from inference.sse import OPENAI, StreamFormat


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A path that is forwarded to an engine."""

    path: str
    """the same here and at the engine"""
    operation: str
    """its registered name in the register"""
    read: Callable[[bytes], Call] = read_call
    """the call in a body; raises `BadRequest`"""
    stream: StreamFormat = OPENAI
    error_body: Callable[[GatewayError], bytes] = openai_body

    @property
    def request_line(self) -> bytes:
        return f"POST {self.path} HTTP/1.1\r\n".encode("ascii")
