"""One worker process: what uvicorn imports in it."""

import logging
import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait

from inference.app import App
from inference.config import Config
from inference.draining import DrainingProtocol

_config = Config.from_env()


class Protocol(DrainingProtocol):
    """The client's side, with this process's limits."""

    limits = _config


def create() -> App:
    """The application of this process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s")
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    return App(_config)


def _end_with_parent() -> None:
    """A parent that was killed cannot stop us: drain and end, so that its successor gets the port."""
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
