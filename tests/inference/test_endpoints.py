"""One table of endpoints: its names are the scopes of keys and the operations of the register."""

import pytest

from audit.operations import Operation
from inference.contract import endpoints
from inference.endpoints.refusals import in_shape
from inference.endpoints.table import ENDPOINTS
from inference.errors import UpstreamError
from tests.inference.conftest import Start, route
from tests.inference.engine import Engine

SPOKEN = b'{"error":{"message":"too long","type":"BadRequestError","param":null,"code":400}}'


def test_names_are_scopes_and_operations() -> None:
    assert {endpoint.name for endpoint in ENDPOINTS.values()} == set(endpoints.NAMES)
    inference = {operation.value for operation in Operation if operation.startswith("inference.")}
    assert {endpoint.operation for endpoint in ENDPOINTS.values()} == inference


def test_engines_own_error_object_passes_untouched() -> None:
    assert in_shape(ENDPOINTS["/v1/chat/completions"], 400, SPOKEN, "m", "r") == SPOKEN


def test_engines_error_is_told_in_anthropics_shape() -> None:
    assert in_shape(ENDPOINTS["/v1/messages"], 400, SPOKEN, "m", "r") == (
        b'{"type":"error","error":{"type":"invalid_request_error","message":"too long"},"request_id":"r"}'
    )


@pytest.mark.parametrize("body", [b'{"detail":"Not Found"}', b"", b"<html>", b"\xff"])
def test_path_that_the_engine_does_not_know_is_said_so(body: bytes) -> None:
    told = in_shape(ENDPOINTS["/v1/embeddings"], 404, body, "smol", "r")
    assert b"The model 'smol' does not serve /v1/embeddings." in told
    assert b'"endpoint_not_served"' in told


@pytest.mark.parametrize("body", [b'{"detail":[{"loc":["body"],"msg":"bad n"}]}', b'{"message":"bad n"}'])
def test_frameworks_refusal_is_wrapped(body: bytes) -> None:
    assert b"bad n" in in_shape(ENDPOINTS["/tokenize"], 422, body, "m", "r")


def test_error_event_of_responses_goes_on_counting() -> None:
    event = ENDPOINTS["/v1/responses"].stream.error(UpstreamError("gone"), "rid", 3)
    assert b'"sequence_number":3' in event


async def test_anthropics_clients_find_the_requests_id(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url))
    response = await gateway.http.post("/v1/messages", json={"model": "none"}, headers=gateway.authorization)
    assert response.headers["request-id"] == response.headers["x-request-id"] == response.json()["request_id"]
