"""What a key may be allowed to call: the names of the gateway's endpoints, as scopes and the register know them."""

NAMES = (
    "chat",
    "completion",
    "response",
    "message",
    "count_tokens",
    "embedding",
    "rerank",
    "score",
    "tokenize",
    "detokenize",
)
"""in the order in which people read them; models may be listed with any key"""


def operation(name: str) -> str:
    """The registered name of a call in the register."""
    return f"inference.{name}"
