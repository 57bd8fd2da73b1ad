"""The operator's port: ``/metrics`` summed over the workers, ``/healthz`` and ``/readyz``. It lives in the parent."""

import http.client
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from prometheus_client import CONTENT_TYPE_LATEST

from inference import metrics
from inference.config import Config

EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # nosec B104  # noqa: S104 - what to ask instead of them


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    operator: "OperatorPort"


class OperatorPort:
    """A context: inside it the port answers."""

    def __init__(self, config: Config, listener: socket.socket, metrics_directory: str) -> None:
        self.draining = False
        """workers finish what they have and take nothing new"""
        self._config = config
        self._directory = metrics_directory
        self._server = _Server((config.bind, config.metrics_port), _Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener
        self._server.server_activate()
        self._server.operator = self

    def __enter__(self) -> "OperatorPort":
        threading.Thread(target=self._server.serve_forever, name="operator-port", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, metrics.exposition(self._directory)
        if path == "/healthz":
            return 200, "application/json", b'{"ok":true}'
        if path == "/readyz":
            status, body = self._readiness()
            return status, "application/json", body
        return 404, "application/json", b'{"error":"there are /metrics, /healthz and /readyz"}'

    def _readiness(self) -> tuple[int, bytes]:
        """What a worker says of itself, asked the way clients ask."""
        if self.draining:
            return 503, b'{"ready":false,"reasons":["draining"]}'
        host = EVERY_ADDRESS.get(self._config.bind, self._config.bind)
        connection = http.client.HTTPConnection(host, self._config.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            return response.status, response.read()
        except OSError as exc:
            return 503, json.dumps({"ready": False, "reasons": [f"no worker answers: {exc}"]}).encode()
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        status, content_type, body = self.server.operator.answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Probes every few seconds are no news."""
