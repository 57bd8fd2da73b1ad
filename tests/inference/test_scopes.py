"""Keys that may call some endpoints only, from some networks only."""

from typing import Any

import pytest

from inference.auth import Principal
from inference.errors import AddressNotAllowed, EndpointNotAllowed
from inference.scopes import check_address, check_endpoint
from tests.inference.conftest import Gateway, Publisher, RegisterReader, Start, new_key, route
from tests.inference.engine import Engine
from tests.waiting import eventually


def principal(**fields: Any) -> Principal:
    return Principal("k", "n", "p", None, None, **fields)


def test_without_scopes_all_is_allowed() -> None:
    check_endpoint(principal(), "chat")
    check_address(principal(), None)


def test_other_endpoints_are_refused() -> None:
    scoped = principal(endpoints=frozenset({"embedding"}))
    check_endpoint(scoped, "embedding")
    with pytest.raises(EndpointNotAllowed):
        check_endpoint(scoped, "chat")


@pytest.mark.parametrize(
    ("cidr", "address", "allowed"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "10.0.0.1", False),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("0.0.0.0/0", None, False),
        ("nonsense", "10.0.0.1", False),
    ],
)
def test_networks(cidr: str, address: str | None, allowed: bool) -> None:
    scoped = principal(cidrs=(cidr,))
    if allowed:
        check_address(scoped, address)
    else:
        with pytest.raises(AddressNotAllowed):
            check_address(scoped, address)


async def refusals(gateway: Gateway) -> list[tuple[int, str]]:
    chat = await gateway.chat()
    models = await gateway.http.get("/v1/models", headers=gateway.authorization)
    return [(answer.status_code, answer.json().get("error", {}).get("code", "")) for answer in (chat, models)]


async def test_gateway_holds_keys_to_their_scopes(
    start: Start, engine: Engine, publisher: Publisher, register: RegisterReader
) -> None:
    gateway = await start(route("smol", engine.url))
    elsewhere, narrow = new_key(cidrs=("10.0.0.0/8",)), new_key(endpoints=("embedding",), cidrs=("127.0.0.0/8",))
    for made in (elsewhere, narrow):
        publisher.key(made)
    gateway.key = narrow
    await eventually(lambda: _known(gateway))
    assert await refusals(gateway) == [(403, "endpoint_not_allowed"), (200, "")]
    gateway.key = elsewhere
    assert await refusals(gateway) == [(403, "ip_not_allowed"), (403, "ip_not_allowed")]
    assert not engine.asked
    register.key = elsewhere
    await eventually(lambda: [row["status"] for row in register.rows()] == ["ip_not_allowed"])


async def _known(gateway: Gateway) -> bool:
    return (await gateway.http.get("/v1/models", headers=gateway.authorization)).status_code == 200


async def test_address_behind_a_trusted_proxy_counts(start: Start, engine: Engine, publisher: Publisher) -> None:
    gateway = await start(route("smol", engine.url), SIGNALBOX_TRUSTED_PROXIES="127.0.0.1")
    gateway.key = new_key(cidrs=("10.0.0.0/8",))
    publisher.key(gateway.key)
    for address, status in (("10.1.2.3", 200), ("11.1.2.3", 403)):
        headers = {**gateway.authorization, "x-forwarded-for": address}

        async def answers(headers: dict[str, str] = headers, status: int = status) -> bool:
            return (await gateway.http.get("/v1/models", headers=headers)).status_code == status

        await eventually(answers)


async def test_forwarded_address_of_a_stranger_does_not_count(
    start: Start, engine: Engine, publisher: Publisher
) -> None:
    gateway = await start(route("smol", engine.url))
    gateway.key = new_key(cidrs=("10.0.0.0/8",))
    publisher.key(gateway.key)
    headers = {**gateway.authorization, "x-forwarded-for": "10.1.2.3"}

    async def refused() -> bool:
        return (await gateway.http.get("/v1/models", headers=headers)).status_code == 403

    await eventually(refused)
