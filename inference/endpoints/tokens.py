"""vLLM's tokenizer, so that clients can count before they ask."""

from inference.endpoints.endpoint import Endpoint
from inference.endpoints.openai import STREAM

ENDPOINTS = (
    Endpoint(path="/tokenize", name="tokenize", stream=STREAM),
    Endpoint(path="/detokenize", name="detokenize", stream=STREAM),
)
