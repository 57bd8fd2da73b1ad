"""A stand-in for the chats' robots, over real TLS: checks the signature as they do, answers 200 with an error code,
mutes who sends more than 20 messages a minute, hangs, and closes.
"""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.certificates import Authority

MOST_A_MINUTE = 20
MUTED_SECONDS = 600.0
HANG_SECONDS = 30.0


class Robot:
    """Its URL, what it has taken, and how often it had to mute. `behave` says what comes next, then it behaves well."""

    def __init__(
        self, directory: Path, *, secret: str = "", clock: Callable[[], float] = time.time, limited: bool = True
    ) -> None:
        self.secret, self.clock, self.limited = secret, clock, limited
        self.taken: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.asked = self.penalties = self.closed_after_taking = 0
        self.behave: list[str] = []
        self._times: list[float] = []
        self._muted_until = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        authority = Authority("robots")
        self.ca = directory / "robots.pem"
        self.ca.write_text(authority.pem)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.robot = self  # type: ignore[attr-defined]
        context = authority.server_context(directory, "127.0.0.1")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def dingtalk(self) -> str:
        return f"https://{self.host}/robot/send?access_token=0123456789abcdef"

    @property
    def wecom(self) -> str:
        return f"https://{self.host}/cgi-bin/webhook/send?key=0123456789abcdef"

    @property
    def texts(self) -> list[str]:
        return [it["markdown"].get("text") or it["markdown"]["content"] for it in self.taken]

    def stop(self) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, body: bytes) -> tuple[int, bytes] | None:
        """Status and body; None: the connection is closed without a word."""
        with self._lock:
            self.asked += 1
            how = self.behave.pop(0) if self.behave else "well"
            if self.limited and self._is_too_often():
                return _said(130101, "send too fast, exceed 20 times per minute")
            if self.secret and not self._is_signed(path):
                return _said(310000, "sign not match")
        if how == "hang":
            self._stopped.wait(HANG_SECONDS)
            return None
        if how == "close":
            return None
        if how.startswith("errcode:"):
            return _said(int(how.removeprefix("errcode:")), "refused")
        if how.startswith("status:"):
            return int(how.removeprefix("status:")), b"<html>"
        with self._lock:
            self.taken.append(json.loads(body))
        if how == "take and close":
            self.closed_after_taking += 1
            return None
        return _said(0, "ok")

    def _is_too_often(self) -> bool:
        now = self.clock()
        if now < self._muted_until:
            self.penalties += 1
            return True
        self._times = [at for at in self._times if at > now - 60] + [now]
        if len(self._times) > MOST_A_MINUTE:
            self._muted_until = now + MUTED_SECONDS
            self.penalties += 1
            return True
        return False

    def _is_signed(self, path: str) -> bool:
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        stamp = query.get("timestamp", "0")
        digest = hmac.new(self.secret.encode(), f"{stamp}\n{self.secret}".encode(), hashlib.sha256).digest()
        fresh = abs(time.time() * 1000 - int(stamp)) < 3_600_000
        return fresh and hmac.compare_digest(query.get("sign", ""), base64.b64encode(digest).decode())


def _said(code: int, words: str) -> tuple[int, bytes]:
    return 200, json.dumps({"errcode": code, "errmsg": words}).encode()


class _Handler(BaseHTTPRequestHandler):
    timeout = 60

    def do_POST(self) -> None:
        robot: Robot = self.server.robot  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        robot.headers.append({name.lower(): value for name, value in self.headers.items()})
        answer = robot.answer(self.path, body)
        self.close_connection = True
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(answer[1])))
        if 300 <= answer[0] < 400:
            self.send_header("Location", "https://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.wfile.write(answer[1])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """A test reads what was taken."""
