"""The numbers in nginx.conf fit those of the gateway and the console."""

import re
from typing import Any

import pytest

from inference.config import Config
from tests.deploy.compose_file import SERVICES
from tests.nginx import CONFIGURATION

TEXT = CONFIGURATION.read_text()
UNITS = {"s": 1, "m": 1024 * 1024, "k": 1024, "": 1}
DEFAULTS = Config(database_url="", redis_url="", secret_key="")


def found(directive: str) -> list[int]:
    return [int(n) * UNITS[unit] for n, unit in re.findall(rf"\b{directive} (?:4 )?(\d+)([smk]?);", TEXT)]


def test_bodies(settings: Any) -> None:
    """The console's first, then the gateway's; both fit into memory, so that no prompt is written to a disk."""
    assert found("client_max_body_size") == [settings.DATA_UPLOAD_MAX_MEMORY_SIZE, DEFAULTS.body_bytes]
    assert found("client_body_buffer_size") == found("client_max_body_size")


def test_the_gateways_time_out_comes_first() -> None:
    (read,), (shutdown,) = found("proxy_read_timeout"), found("worker_shutdown_timeout")
    assert max(600, DEFAULTS.total_seconds, DEFAULTS.first_byte_seconds) < read
    assert DEFAULTS.drain_seconds < shutdown < int(SERVICES["nginx"]["stop_grace_period"].removesuffix("s"))


def test_nginx_keeps_connections_for_less_long_than_those_behind_it() -> None:
    client, *upstreams = found("keepalive_timeout")
    assert len(upstreams) == 2
    assert max(upstreams) < DEFAULTS.keepalive_seconds
    assert max(upstreams) < int(SERVICES["console"]["command"][-1])
    assert client == DEFAULTS.keepalive_seconds


@pytest.mark.parametrize(
    ("directive", "field"),
    [
        ("client_header_timeout", "header_seconds"),
        ("client_body_timeout", "body_seconds"),
        ("large_client_header_buffers", "header_bytes"),
        ("send_timeout", "stall_seconds"),
    ],
)
def test_bounds_of_clients(directive: str, field: str) -> None:
    assert found(rf"(?<!_){directive}") == [getattr(DEFAULTS, field)]


@pytest.mark.parametrize("line", ["proxy_buffering off;", "proxy_next_upstream off;", "proxy_http_version 1.1;"])
def test_said_once_for_all(line: str) -> None:
    """A `proxy_set_header` in an inner block would drop all outer ones, so there is none either."""
    assert TEXT.count(line) == 1
    assert TEXT.index("proxy_set_header") < TEXT.index("    server {") > TEXT.rindex("proxy_set_header")
