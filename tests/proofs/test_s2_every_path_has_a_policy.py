"""S2, the gateway's half: every path, whatever the credential, whatever header it comes in.

The matrix is made from the table of endpoints, so a new one is in it at once: it fails until it refuses all of these,
or until `ALLOWED` says what it lets through.
"""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from inference.contract import keys as key_format
from inference.endpoints.models import PATH as MODELS
from inference.endpoints.table import ENDPOINTS
from tests.inference.conftest import Gateway, Key, Publisher, Start, new_key, route
from tests.inference.engine import Engine
from tests.proofs.proof import Proof
from tests.waiting import eventually

ROUTE = "smol"
PATHS = (*ENDPOINTS, MODELS, f"{MODELS}/{ROUTE}")
UNAUTHENTICATED = {"none", "garbage", "mistyped", "unknown", "revoked", "expired"}
FORBIDDEN = {"other project's", "other route's", "other endpoint's", "other network's"}
ALLOWED = {(MODELS, "other project's"), (MODELS, "other route's"), (MODELS, "other endpoint's"),
           (f"{MODELS}/{ROUTE}", "other endpoint's")}  # fmt: skip
"""What is answered though the credential is not fit for a call: the list of what it may call, which is empty."""
NOWHERE = (
    "/", "/v1", "/v1/", "/metrics", "/docs", "/openapi.json", "/admin", "/admin/", "/api/v1/models", "/v1/files",
    "/debug", "/health", "/ping", "/version", "/v1/load_lora_adapter", "/invocations", "/server_info", "/sleep",
    "/reset_prefix_cache", "/wake_up", "/collective_rpc", "/v1/audio/transcriptions", "/v1/images/generations",
    "/v1/batches", "/pooling", "/classify", "/v2/rerank", "/.env", "/v1/../metrics", "/v1/chat",
)  # fmt: skip
"""Paths of engines and of others that the gateway does not have."""


def headers_of(token: str) -> list[dict[str, str]]:
    """All ways to give a credential."""
    return [{"authorization": f"Bearer {token}"}, {"x-api-key": token}, {"api-key": token}] if token else [{}]


class Credentials:
    """One of each kind, published."""

    def __init__(self, publisher: Publisher, good: Key) -> None:
        kinds: dict[str, dict[str, Any]] = {
            "expired": {"expires": time.time() - 60},
            "other project's": {"project": "beta"},
            "other route's": {"routes": ("large",)},
            "other endpoint's": {"endpoints": ("nothing",)},
            "other network's": {"cidrs": ("10.0.0.0/8",)},
        }
        made = {kind: new_key(**fields) for kind, fields in kinds.items()}
        revoked = new_key()
        for key in (*made.values(), revoked):
            publisher.key(key)
        publisher.revoke(revoked)
        self.last = list(made.values())[-1]
        self.tokens = {kind: key.token for kind, key in made.items()} | {
            "none": "", "garbage": "garbage", "mistyped": good.token[:-1] + ("a" if good.token[-1] != "a" else "b"),
            "unknown": key_format.generate().token, "revoked": revoked.token,
        }  # fmt: skip


async def ask(gateway: Gateway, path: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """With the method that the path has and a body that is good."""
    if path in ENDPOINTS:
        body = {"model": ROUTE, "messages": [], "input": "x", "prompt": "x", "query": "x", "documents": ["x"]}
        answer = await gateway.http.post(path, json=body, headers=headers)
    else:
        answer = await gateway.http.get(path, headers=headers)
    return answer.status_code, answer.json()


@pytest.mark.proof("S2", seconds=60)
async def test_every_path_with_every_credential(
    proof: Proof, start: Start, publisher: Publisher, engine: Engine, key: Key
) -> None:
    gateway = await start(msgspec.structs.replace(route(ROUTE, engine.url), project=key.entry.project))
    credentials = Credentials(publisher, key)
    await eventually(lambda: _is_known(gateway, credentials.last))
    asked, wrong = 0, list[str]()
    assert set(credentials.tokens) == UNAUTHENTICATED | FORBIDDEN
    for path in PATHS:
        for kind, token in credentials.tokens.items():
            for headers in headers_of(token):
                status, body = await ask(gateway, path, headers)
                asked += 1
                expected = 200 if (path, kind) in ALLOWED else 401 if kind in UNAUTHENTICATED else 403
                if status != expected:
                    wrong.append(f"{path} with {kind} ({', '.join(headers)}): {status}")
                if path == MODELS and status == 200 and kind != "other endpoint's" and body["data"]:
                    wrong.append(f"{path} tells {kind} of {body['data']}")
    assert not engine.asked
    proof.show(
        "answers to credentials that are not fit, other than 401 or 403", counted=asked, bar="0",
        measured=f"{len(wrong)} {wrong[:5]}" if wrong else 0, held=not wrong,
    )  # fmt: skip
    good = [(path, await ask(gateway, path, headers)) for path in PATHS for headers in headers_of(key.token)]
    assert {status for _, (status, _) in good} == {200}, "the matrix can tell a good key from others"


async def _is_known(gateway: Gateway, key: Key) -> bool:
    """The gateway has heard of it, and of all that was published before."""
    status, body = await ask(gateway, MODELS, {"x-api-key": key.token})
    return status == 403 and body["error"]["code"] == "ip_not_allowed"


@pytest.mark.proof("S2", seconds=60)
async def test_there_is_nothing_else(proof: Proof, start: Start, engine: Engine) -> None:
    gateway = await start(route(ROUTE, engine.url))
    asking = [
        gateway.http.request(method, path, headers=headers)
        for path in NOWHERE
        for method in ("GET", "POST", "DELETE")
        for headers in ({}, gateway.authorization)
    ]
    statuses = [answer.status_code for answer in await asyncio.gather(*asking)]
    found = sum(status < 400 for status in statuses)
    proof.show(
        "paths of others that the gateway answers", counted=len(statuses), bar="0", measured=found, held=not found
    )
    assert set(statuses) <= {401, 404, 405}
    assert not engine.asked
