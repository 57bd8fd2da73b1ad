"""The parent of the gateway's workers: starts them, restarts what dies, and tells the operator how they are."""

import logging
import signal
import socket

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from inference.config import Config
from inference.operator_port import OperatorPort

logger = logging.getLogger(__name__)


def run(config: Config, listener: socket.socket, operators: socket.socket, metrics_directory: str) -> None:
    """Serve until told to stop, then until the workers have drained."""
    server = uvicorn.Config(
        "inference.worker:create",
        factory=True,
        workers=config.workers,
        loop="uvloop",
        http="inference.worker:Protocol",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(config.trusted_proxies),
        forwarded_allow_ips=config.trusted_proxies or None,
        timeout_keep_alive=config.keepalive_seconds,
        timeout_graceful_shutdown=config.drain_seconds,
        timeout_worker_healthcheck=10,
    )
    with OperatorPort(config, operators, metrics_directory) as operator:
        logger.info("gateway on %s port %d, %d workers", config.bind, config.port, config.workers)
        Supervisor(server, listener, operator).run()
    logger.info("gateway stopped")


class Supervisor(Multiprocess):
    """uvicorn's, with the operator's port kept up to date."""

    def __init__(self, server: uvicorn.Config, listener: socket.socket, operator: OperatorPort) -> None:
        super().__init__(server, [listener])
        self._listener = listener
        self._operator = operator

    def keep_subprocess_alive(self) -> None:
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        for pid in before - {process.pid for process in self.processes}:
            logger.error("worker %s died and was replaced", pid)
            mark_process_dead(pid)  # type: ignore[no-untyped-call]

    def terminate_all(self) -> None:
        self._operator.draining = True
        self._listener.close()
        # A second signal must not be lost while the workers drain: it ends them at once.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._kill_all)
        super().terminate_all()

    def _kill_all(self, *_: object) -> None:
        for process in self.processes:
            process.process.kill()
