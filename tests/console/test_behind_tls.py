"""The console as it runs in a company, behind a proxy that ends TLS: a process of its own, and its real answers."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from controlplane.credentials import read_credentials
from tests.proofs.console import console

HOST = "signalbox.example"
HTTPS = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("console")


@pytest.fixture(scope="module")
def behind_tls(home: Path) -> Iterator[str]:
    environment = {
        "SIGNALBOX_PLAIN_HTTP": "0", "SIGNALBOX_TRUSTED_PROXIES": "127.0.0.1", "ALLOWED_HOSTS": f"{HOST},127.0.0.1",
        "CSRF_TRUSTED_ORIGINS": "",
    }  # fmt: skip
    with console(home, uvicorn=("--no-proxy-headers", "--no-server-header"), **environment) as running:
        yield running.url


@pytest.fixture
def proxied(behind_tls: str) -> Iterator[httpx.Client]:
    """What a browser sees through the proxy."""
    with httpx.Client(base_url=behind_tls, headers=HTTPS, trust_env=False) as client:
        yield client


def cookies(answer: httpx.Response) -> dict[str, str]:
    """Name -> attributes."""
    found = (it.partition("=") for it in answer.headers.get_list("set-cookie"))
    return {name: rest.partition(";")[2].strip() for name, _, rest in found}


def signed_in(client: httpx.Client, home: Path) -> httpx.Response:
    page = client.get("/console/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token
    jar = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    known = read_credentials(home / "credentials.env")
    form = {
        "username": known["SIGNALBOX_ADMIN_USER"], "password": known["SIGNALBOX_ADMIN_PASSWORD"],
        "csrfmiddlewaretoken": token[1],
    }  # fmt: skip
    headers = {"Cookie": jar, "Referer": f"https://{HOST}/console/login/"}
    return client.post("/console/login/", data=form, headers=headers)


def test_plain_http_is_sent_to_https(behind_tls: str) -> None:
    answer = httpx.get(f"{behind_tls}/console/login/", headers={"Host": HOST, "X-Forwarded-Proto": "http"})
    assert (answer.status_code, answer.headers["location"]) == (301, f"https://{HOST}/console/login/")


def test_probes_ask_the_process_itself(behind_tls: str) -> None:
    assert httpx.get(f"{behind_tls}/readyz").status_code == 200


@pytest.mark.parametrize("path", ["/console/login/", "/api/v1/models", "/nowhere", "/static/signalbox/console.js"])
def test_every_answer_asks_for_https_and_leaves_no_guess(proxied: httpx.Client, path: str) -> None:
    headers = proxied.get(path).headers
    assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains; preload"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/console/login/", "/api/v1/models", "/api/v1/openapi.json", "/nowhere", "/version"])
def test_answers_are_shown_in_no_frame_and_kept_nowhere(proxied: httpx.Client, path: str) -> None:
    headers = proxied.get(path).headers
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "no-store" in headers["cache-control"]
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert not {name for name in headers if name.startswith("access-control-")}


def test_pages_may_run_our_own_scripts_only(proxied: httpx.Client) -> None:
    written = proxied.get("/console/login/").headers["content-security-policy"]
    policy = dict(directive.split(" ", 1) for directive in written.split("; "))
    assert policy["script-src"] == "'self' 'unsafe-eval'"
    assert policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert "unsafe-inline" not in str(policy)
    assert "http" not in str(policy)


def test_cookies_stay_on_this_host_and_on_tls(proxied: httpx.Client, home: Path) -> None:
    csrf = cookies(proxied.get("/console/login/"))
    session = cookies(signed_in(proxied, home))
    [(name, attributes)] = [it for it in csrf.items() if "csrf" in it[0]]
    assert name.startswith("__Host-")
    assert {"Secure", "SameSite=Lax", "Path=/"} <= set(attributes.split("; "))
    [(name, attributes)] = [it for it in session.items() if "session" in it[0]]
    assert name.startswith("__Host-")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes.split("; "))
    assert "Domain" not in attributes


def test_sign_in_from_another_site_is_refused(proxied: httpx.Client) -> None:
    page = proxied.get("/console/login/")
    jar = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token
    form = {"username": "admin", "password": "x", "csrfmiddlewaretoken": token[1]}
    for headers in ({"Origin": "https://evil.example"}, {"Referer": "https://evil.example/"}, {}):
        assert proxied.post("/console/login/", data=form, headers={"Cookie": jar, **headers}).status_code == 403


def test_foreign_host_is_refused(behind_tls: str) -> None:
    headers = {**HTTPS, "Host": "evil.example"}
    assert httpx.get(f"{behind_tls}/console/login/", headers=headers).status_code == 400


def test_proxy_is_believed_about_the_address(proxied: httpx.Client, home: Path) -> None:
    signed_in(proxied, home)
    known = read_credentials(home / "credentials.env")
    headers = {"Authorization": f"Bearer {known['SIGNALBOX_ADMIN_TOKEN']}"}
    rows = proxied.get("/api/v1/sessions", headers=headers).json()["results"]
    assert {row["address"] for row in rows} == {"203.0.113.9"}
