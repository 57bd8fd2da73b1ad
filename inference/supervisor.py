"""The parent of the gateway's workers: starts them, restarts what dies, and tells the operator how they are."""

import logging
import signal
import socket
import time

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from inference.config import Config
from inference.operator_port import OperatorPort

logger = logging.getLogger(__name__)

SLOWEST_START = 60.0
"""seconds; the worker that is to be replaced goes on for so long, so patience costs nothing"""


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
    """uvicorn's, with the operator's port kept up to date.

    SIGHUP replaces the workers one by one, each by one that serves already; the old ones finish what they have begun,
    however long that takes, while this process goes on to look after the new ones.
    """

    def __init__(self, server: uvicorn.Config, listener: socket.socket, operator: OperatorPort) -> None:
        super().__init__(server, [listener])
        self._listener = listener
        self._operator = operator
        self._retiring: list[Process] = []

    def keep_subprocess_alive(self) -> None:
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        for pid in before - {process.pid for process in self.processes}:
            logger.error("worker %s died and was replaced", pid)
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
        for process in [old for old in self._retiring if not old.process.is_alive()]:
            logger.info("worker %s has finished", process.pid)
            mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
            self._retiring.remove(process)

    def restart_all(self) -> None:
        for place, old in enumerate(self.processes):
            new = Process(self.config, self.sockets)
            new.start()
            if not self._serves(new):
                new.kill()
                new.join()
                logger.error("worker %s did not start in time; worker %s goes on", new.pid, old.pid)
                return
            self.processes[place] = new
            old.terminate()
            self._retiring.append(old)
            logger.info("worker %s takes over from %s", new.pid, old.pid)

    def _serves(self, process: Process) -> bool:
        """Wait until it does; not for ever, and not when all of it shall end."""
        deadline = time.monotonic() + SLOWEST_START
        while process.process.is_alive() and time.monotonic() < deadline:
            if {signal.SIGTERM, signal.SIGINT} & set(self.signal_queue):
                return False
            if process.is_ready(timeout=1):
                return True
            time.sleep(0.05)
        return False

    def terminate_all(self) -> None:
        self._operator.draining = True
        self._listener.close()
        # A second signal must not be lost while the workers drain: it ends them at once.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._kill_all)
        super().terminate_all()

    def join_all(self) -> None:
        super().join_all()
        for process in self._retiring:
            process.join()

    def _kill_all(self, *_: object) -> None:
        for process in (*self.processes, *self._retiring):
            process.process.kill()
