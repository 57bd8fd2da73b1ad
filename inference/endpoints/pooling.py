"""What embedding and ranking models answer, in OpenAI's, Jina's and vLLM's shapes."""

from inference.endpoints.endpoint import Endpoint
from inference.endpoints.openai import STREAM

ENDPOINTS = (
    Endpoint(path="/v1/embeddings", name="embedding", stream=STREAM),
    Endpoint(path="/v1/rerank", name="rerank", stream=STREAM),
    Endpoint(path="/v1/score", name="score", stream=STREAM),
)
