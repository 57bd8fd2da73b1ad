"""The sealer's life in a worker: a thread of the worker's first process, which no long task keeps waiting.

Any number of workers may run it. One has the lease; the others ask for it each second and get it when that one is gone.
"""

import logging
import os
import socket
import threading
import time
from typing import Any

from celery.signals import worker_ready, worker_shutting_down
from django.db import Error, close_old_connections, connections
from django.utils import timezone

from audit.checkpoints import write_checkpoint
from audit.models import SealerLease
from audit.sealer import MOST, Deposed, give_lease_back, seal_next, take_lease
from inference.contract.ids import uuid7

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
SWEEP_SECONDS = 60.0
CHECKPOINT_SECONDS = 60.0


class Loop:
    """One second after the other, until `stop`."""

    def __init__(self) -> None:
        self.holder = f"{socket.gethostname()}/{os.getpid()}/{uuid7().hex[-12:]}"
        self._stopping = threading.Event()
        self._next_sweep = self._next_checkpoint = 0.0
        self._said = self._shown = ""

    def run(self) -> None:
        epoch = None
        while not self._stopping.wait(TICK_SECONDS):
            try:
                epoch = take_lease(self.holder)
                if epoch is not None:
                    self._work(epoch)
                self._say("")
            except Deposed as exc:
                self._say(str(exc))
            except Exception as exc:  # noqa: BLE001 - a thread that ends seals nothing until its worker is started anew
                self._say(f"{type(exc).__name__}: {str(exc).strip().partition(chr(10))[0]}", cause=exc)
                close_old_connections()
        if epoch is not None:
            give_lease_back(epoch)
        connections.close_all()

    def stop(self) -> None:
        self._stopping.set()

    def _work(self, epoch: int) -> None:
        now = time.monotonic()
        sweep = now >= self._next_sweep
        while (seal := seal_next(epoch, sweep=sweep)) is not None and seal.count >= MOST:
            take_lease(self.holder)
        if sweep:
            self._next_sweep = now + SWEEP_SECONDS
        if now >= self._next_checkpoint and write_checkpoint(timezone.now()) is not None:
            self._next_checkpoint = now + CHECKPOINT_SECONDS

    def _say(self, trouble: str, *, cause: Exception | None = None) -> None:
        """A new trouble, or its end, in the log and where the register's page reads it. The log has the traceback of a
        fault of our own.
        """
        if trouble != self._said:
            self._said = trouble
            ours = None if isinstance(cause, Error | OSError) else cause
            logger.log(
                logging.ERROR if trouble else logging.INFO, "sealer: %s", trouble or "works again", exc_info=ours
            )
        if trouble == self._shown:
            return
        try:
            SealerLease.objects.filter(pk=1).update(trouble=trouble)
            self._shown = trouble
        except Error:
            close_old_connections()


_loops: list[Loop] = []


@worker_ready.connect
def start(**_: Any) -> None:
    """With the worker."""
    loop = Loop()
    _loops.append(loop)
    threading.Thread(target=loop.run, name="sealer", daemon=True).start()


@worker_shutting_down.connect
def stop(**_: Any) -> None:
    """The next worker seals on at once."""
    for loop in _loops:
        loop.stop()
