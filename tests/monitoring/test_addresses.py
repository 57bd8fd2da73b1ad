"""Where a channel may send: the vendor's host alone, and nothing inside the own network."""

import pytest

from controlplane.alerting import addresses
from controlplane.errors import Invalid
from monitoring.transports import outbound
from monitoring.transports.base import TransportError

DING = "https://oapi.dingtalk.com/robot/send?access_token=0123456789abcdef"
WECOM = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=0123456789abcdef"


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("dingtalk", DING),
        ("wecom", WECOM),
        ("webhook", "https://alerts.example.com/x"),
        ("webhook", "http://8.8.8.8:80/"),
    ],
)
def test_good_address(kind: str, url: str) -> None:
    addresses.check(kind, url)
    assert "0123456789ab" not in addresses.masked(kind, url)


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("dingtalk", DING.replace("https", "http")),
        ("dingtalk", DING.replace("oapi.dingtalk.com", "oapi.dingtalk.com.evil.example")),
        ("dingtalk", DING.replace("oapi.dingtalk.com", "oapi.dingtalk.com:8443")),
        ("dingtalk", DING.replace("oapi.dingtalk.com", "oapi.dingtalk.com@evil.example")),
        ("dingtalk", DING.replace("/robot/send", "/robot/../other")),
        ("dingtalk", DING + "&x=1"), ("dingtalk", DING.split("?", maxsplit=1)[0]), ("dingtalk", WECOM), ("wecom", DING),
        ("webhook", "ftp://example.com/"), ("webhook", "file:///etc/passwd"), ("webhook", "https://u:p@example.com/"),
        ("webhook", "http://127.0.0.1/"), ("webhook", "http://localhost:8000/"), ("webhook", "http://[::1]/"),
        ("webhook", "http://169.254.169.254/latest/"), ("webhook", "http://10.0.0.1/"),
        ("webhook", "http://[::ffff:127.0.0.1]/"), ("webhook", "https://example.com/#x"), ("webhook", "http://x:99999/"),
        ("webhook", "https://exa mple.com/"), ("webhook", "https://example.com\\@evil/"), ("webhook", "nonsense"),
        ("webhook", "https://"), ("webhook", "https://example.com/\n"),
    ],
)  # fmt: skip
def test_bad_address(kind: str, url: str) -> None:
    with pytest.raises(Invalid) as refused:
        addresses.check(kind, url)
    assert refused.value.field == "url"
    assert "0123456789abcdef" not in refused.value.message


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "localtest.me.localhost"],
)
def test_other_ways_to_write_the_own_machine(host: str) -> None:
    """What a check by name lets pass is caught when the name is looked up."""
    with pytest.raises(TransportError) as refused:
        outbound.post("webhook", f"http://{host}:9/", b"", {})
    assert refused.value.permanent or "not found" in refused.value.message


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False), ("100.64.0.1", False),
        ("169.254.169.254", False), ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False), ("fe80::1", False),
        ("fd00::1", False), ("::ffff:10.0.0.1", False), ("64:ff9b::a00:1", False), ("2002:7f00:1::", False),
    ],
)  # fmt: skip
def test_what_is_inside(address: str, public: bool) -> None:
    assert outbound.is_public(address) is public


def test_hosts_inside_have_to_be_named(settings: object) -> None:
    settings.WEBHOOK_HOSTS = ["*.corp.example.com", "10.0.0.1"]
    addresses.check("webhook", "http://a.corp.example.com/")
    addresses.check("webhook", "http://10.0.0.1:8080/")
    with pytest.raises(Invalid):
        addresses.check("webhook", "http://10.0.0.2/")
