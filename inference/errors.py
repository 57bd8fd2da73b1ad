"""Every error a client of the gateway can meet, in one tree. The attributes are the policy: callers parse no text.

GatewayError
├── BadRequest 400
│   ├── RemoteMedia
│   ├── UnknownPath 404
│   ├── WrongMethod 405
│   ├── SlowBody 408
│   ├── BodyTooLarge 413
│   └── HeadTooLarge 431
├── Unauthenticated 401
│   ├── MissingKey
│   ├── InvalidKey          malformed, unknown or revoked: the answer does not say which
│   └── ExpiredKey
├── Forbidden 403
│   ├── EndpointNotAllowed
│   └── AddressNotAllowed
├── UnknownModel 404
├── EngineRefused 4xx       the engine's own words in the shape of the client's API
├── RateLimited 429         with retry-after
│   └── QuotaExceeded       a budget: not before its day or month is over
├── Unavailable 503         with retry-after
│   ├── TablesMissing
│   ├── NoReadyReplica
│   ├── LimitsUnknown
│   └── AuditUnavailable
├── UpstreamError 502       carries `retriable` and `fault`
│   ├── UpstreamTimeout 504
│   └── UpstreamBusy 503
├── ClientClosed 499        never sent: nobody is there to read it
└── InternalError 500
"""

import msgspec

from inference.ejection import Fault

_encode = msgspec.json.Encoder().encode


class GatewayError(Exception):
    """The gateway could not answer. The docstring of each error is its default message."""

    status = 500
    code = "internal_error"
    type = "server_error"
    param: str | None = None
    retry_after: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """further ones of the answer"""

    def __init__(self, message: str = "", *, param: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        if param is not None:
            self.param = param


class BadRequest(GatewayError):
    """The request body is not valid."""

    status = 400
    code = "invalid_request"
    type = "invalid_request_error"


class RemoteMedia(BadRequest):
    """Media must come as a data URL; this project may not refer to other hosts."""

    code = "remote_media_not_allowed"


class UnknownPath(BadRequest):
    """There is nothing at this path. See /v1/models for what this key may call."""

    status = 404
    code = "unknown_url"


class WrongMethod(BadRequest):
    """This path does not know that method."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, allowed: str) -> None:
        super().__init__(f"Use {allowed} for this path.")
        self.headers = ((b"allow", allowed.encode("ascii")),)


class SlowBody(BadRequest):
    """The request body did not arrive in time."""

    status = 408
    code = "request_timeout"


class BodyTooLarge(BadRequest):
    """The request body is too large."""

    status = 413
    code = "body_too_large"


class HeadTooLarge(BadRequest):
    """The request head is too large."""

    status = 431
    code = "headers_too_large"


class Unauthenticated(GatewayError):
    """The request carries no usable API key."""

    status = 401
    code = "invalid_api_key"
    type = "authentication_error"


class MissingKey(Unauthenticated):
    """No API key. Send it as 'Authorization: Bearer <key>'."""

    code = "missing_api_key"


class InvalidKey(Unauthenticated):
    """Incorrect API key. It may be mistyped or revoked; the console shows the keys of your project."""


class ExpiredKey(Unauthenticated):
    """This API key has expired. Create a new one in the console."""

    code = "expired_api_key"


class Forbidden(GatewayError):
    """This API key may not call that model."""

    status = 403
    code = "model_not_allowed"
    type = "permission_error"
    param: str | None = "model"


class EndpointNotAllowed(Forbidden):
    """This API key may not call that endpoint."""

    code = "endpoint_not_allowed"
    param = None


class AddressNotAllowed(Forbidden):
    """This API key may not be used from that address."""

    code = "ip_not_allowed"
    param = None


class EngineRefused(GatewayError):
    """The engine refused the request."""

    type = "invalid_request_error"
    code = "refused_by_engine"

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        if code:
            self.code = code


class UnknownModel(GatewayError):
    """There is no such model. See /v1/models for what this key may call."""

    status = 404
    code = "model_not_found"
    type = "invalid_request_error"
    param = "model"


class RateLimited(GatewayError):
    """A limit of this key, its project or the model is reached."""

    status = 429
    code = "rate_limit_exceeded"
    type = "rate_limit_exceeded"


class QuotaExceeded(RateLimited):
    """A budget of this key, its project or the model is used up."""

    code = "insufficient_quota"
    type = "insufficient_quota"


class Unavailable(GatewayError):
    """The gateway cannot serve this now."""

    status = 503
    code = "unavailable"
    retry_after = 1


class TablesMissing(Unavailable):
    """The gateway has not received its routes and keys yet. Check that Redis and the console's workers run."""

    code = "tables_missing"


class NoReadyReplica(Unavailable):
    """No replica of this model is ready."""

    code = "no_ready_replica"
    retry_after = 5


class LimitsUnknown(Unavailable):
    """Limits cannot be checked for the moment. Please try again shortly."""

    code = "limits_unavailable"


class AuditUnavailable(Unavailable):
    """The audit register cannot be written, so nothing is served. Check that PostgreSQL runs."""

    code = "audit_unavailable"
    retry_after = 2


class UpstreamError(GatewayError):
    """The engine broke off before it answered."""

    status = 502
    code = "upstream_error"

    def __init__(
        self, message: str = "", *, retriable: bool = False, code: str = "", fault: Fault | None = None
    ) -> None:
        super().__init__(message)
        self.retriable = retriable
        """another replica may be asked, as long as the client has seen no byte"""
        self.fault = fault
        """what it says about the replica; None: nothing, or nothing bad"""
        if code:
            self.code = code


class UpstreamTimeout(UpstreamError):
    """The engine did not answer in time."""

    status = 504
    code = "upstream_timeout"


class UpstreamBusy(UpstreamError):
    """The engine's queue is full."""

    status = 503
    code = "upstream_busy"
    retry_after = 1


class ClientClosed(GatewayError):
    """The client has left."""

    status = 499
    code = "client_closed"


class InternalError(GatewayError):
    """Something went wrong inside the gateway; its log tells more under this request id."""


def openai_body(error: GatewayError, request_id: str = "") -> bytes:
    """The error object of OpenAI's API, which tells the request's id in a header only."""
    del request_id
    return _encode({"error": {"message": str(error), "type": error.type, "param": error.param, "code": error.code}})
