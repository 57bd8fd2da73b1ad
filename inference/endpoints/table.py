"""The one table of paths that engines answer."""

from inference.endpoints import anthropic, openai, pooling, responses, tokens
from inference.endpoints.endpoint import Endpoint, ErrorBody
from inference.errors import openai_body

ENDPOINTS: dict[str, Endpoint] = {
    endpoint.path: endpoint
    for endpoint in (
        *openai.ENDPOINTS, *responses.ENDPOINTS, *anthropic.ENDPOINTS, *pooling.ENDPOINTS, *tokens.ENDPOINTS
    )
}  # fmt: skip


def error_body_at(path: str) -> ErrorBody:
    """The shape of errors at a path that need not exist."""
    if path == anthropic.ROOT or path.startswith(anthropic.ROOT + "/"):
        return anthropic.error_body
    return openai_body
