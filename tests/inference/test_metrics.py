"""What the operator's port tells, summed over the workers, and what the access log holds."""

import asyncio
import json

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.inference.conftest import Gateway, Start, route
from tests.inference.engine import Engine
from tests.waiting import eventually


async def total(gateway: Gateway, name: str, **labels: str) -> float:
    """The sum of all samples of that name with these labels."""
    text = (await gateway.operator_get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


async def test_requests_of_all_workers_are_summed(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url), fresh=True, SIGNALBOX_GATEWAY_WORKERS="2")
    await eventually(lambda: len(gateway.workers()) == 2)

    async def one(stream: bool) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
            body = {"model": "smol", "messages": [], "stream": stream}
            await http.post(f"{gateway.url}/v1/chat/completions", json=body, headers=gateway.authorization)

    await asyncio.gather(*(one(bool(i % 2)) for i in range(30)))

    async def counted() -> bool:
        return await total(gateway, "signalbox_gateway_requests_total", status="200", model="smol") == 30

    await eventually(counted)
    assert await total(gateway, "signalbox_gateway_tokens_total", kind="prompt") == 30 * 7
    assert await total(gateway, "signalbox_gateway_tokens_total", kind="completion") == 30 * 3
    assert await total(gateway, "signalbox_gateway_inflight_requests") == 0
    for name in ("request_duration", "time_to_first_token", "overhead"):
        assert await total(gateway, f"signalbox_gateway_{name}_seconds_count") == 30
    assert await total(gateway, "signalbox_audit_lag_seconds") > 0


async def test_client_cannot_make_labels(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url), fresh=True)
    for model in ("evil-one", "evil-two"):
        await gateway.chat(model=model)
    await gateway.http.get("/evil-three")

    async def counted() -> bool:
        return await total(gateway, "signalbox_gateway_requests_total", status="404") == 3

    await eventually(counted)
    assert "evil" not in (await gateway.operator_get("/metrics")).text


async def test_operators_port_knows_health_and_readiness(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url))
    for path in ("healthz", "readyz"):
        assert (await gateway.operator_get(f"/{path}")).status_code == 200
    assert (await gateway.operator_get("/nothing")).status_code == 404
    assert (await gateway.http.get("/metrics")).status_code == 404


async def test_access_log_has_one_line_a_request_and_no_content(start: Start, engine: Engine) -> None:
    gateway = await start(route("smol", engine.url))
    response = await gateway.chat("secret words")
    await eventually(lambda: response.headers["x-request-id"] in gateway.log.read_text())
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line["request_id"] == response.headers["x-request-id"]]
    assert (line["status"], line["reason"], line["model"], line["completion_tokens"]) == (200, "ok", "smol", 3)
    assert "secret" not in gateway.log.read_text()
    assert gateway.key.token not in gateway.log.read_text()
