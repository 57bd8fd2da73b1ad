"""nginx speaks TLS 1.3 with AEAD suites, and nothing else."""

import asyncio
import ssl

import pytest

from tests.nginx import LOCAL, Nginx, NginxFor, Tls
from tests.tools import needed

AEAD = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")
BOTH = pytest.mark.parametrize("which", ["console_port", "gateway_port"])


async def s_client(nginx: Nginx, which: str, *arguments: str) -> tuple[int, str]:
    """What `openssl s_client` says of a handshake."""
    process = await asyncio.create_subprocess_exec(
        needed("openssl", "openssl"), "s_client", "-connect", f"{LOCAL}:{getattr(nginx, which)}", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode or 0, out.decode(errors="replace")


@BOTH
@pytest.mark.parametrize("old", ["-tls1_2", "-tls1_1"])
async def test_older_versions_fail(nginx_for: NginxFor, which: str, old: str) -> None:
    """A client that speaks the old version however weakly, so that it is the server that refuses."""
    status, said = await s_client(await nginx_for(), which, old, "-cipher", "ALL:@SECLEVEL=0")
    assert status != 0
    assert "alert protocol version" in said


@BOTH
@pytest.mark.parametrize("suite", AEAD)
async def test_each_suite_works(nginx_for: NginxFor, which: str, suite: str) -> None:
    status, said = await s_client(await nginx_for(), which, "-tls1_3", "-ciphersuites", suite)
    assert status == 0
    assert f"New, TLSv1.3, Cipher is {suite}" in said


@pytest.mark.parametrize("suite", ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"])
async def test_suites_that_are_not_named_fail(nginx_for: NginxFor, suite: str) -> None:
    """CCM_8 has a short tag."""
    status, said = await s_client(await nginx_for(), "gateway_port", "-tls1_3", "-ciphersuites", suite)
    assert status != 0
    assert "handshake failure" in said


async def test_no_early_data(nginx_for: NginxFor) -> None:
    _, said = await s_client(await nginx_for(), "gateway_port", "-tls1_3")
    assert "Max Early Data: 0" in said or "Early data was not sent" in said
    assert "Max Early Data: 1" not in said


async def test_plain_http_gets_no_further(nginx_for: NginxFor) -> None:
    nginx = await nginx_for()
    reader, writer = await asyncio.open_connection(LOCAL, nginx.gateway_port)
    writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_the_certificate_is_checked_by_name(nginx_for: NginxFor, tls: Tls) -> None:
    nginx = await nginx_for()
    _, writer = await asyncio.open_connection(LOCAL, nginx.gateway_port, ssl=tls.client)
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    writer.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(LOCAL, nginx.gateway_port, ssl=tls.client, server_hostname="elsewhere")
