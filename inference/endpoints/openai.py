"""OpenAI's generation endpoints."""

from inference.endpoints.endpoint import Endpoint

ENDPOINTS = (
    Endpoint(path="/v1/chat/completions", operation="inference.chat"),
    Endpoint(path="/v1/completions", operation="inference.completion"),
)
