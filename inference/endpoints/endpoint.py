"""The shape of an endpoint: data, so that a new one is a line in a table."""

from collections.abc import Callable

import msgspec

from inference.contract import endpoints
from inference.endpoints.call import Call, read_call
from inference.errors import GatewayError, openai_body
from inference.sse import StreamFormat

ErrorBody = Callable[[GatewayError, str], bytes]
"""an error as the body of the answer to the request with that id"""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A path that is forwarded to an engine."""

    path: str
    """the same here and at the engine"""
    name: str
    """one of `inference.contract.endpoints.NAMES`"""
    stream: StreamFormat
    """also tells how a whole answer says its usage"""
    generates: bool = False
    """its answer is as long as the model makes it"""
    read: Callable[[bytes], Call] = read_call
    """the call in a body; raises `BadRequest`"""
    error_body: ErrorBody = openai_body
    id_header: bytes = b""
    """where its clients look for the request's id, besides ``x-request-id``"""

    @property
    def operation(self) -> str:
        """Its registered name in the register."""
        return endpoints.operation(self.name)

    @property
    def request_line(self) -> bytes:
        return f"POST {self.path} HTTP/1.1\r\n".encode("ascii")
