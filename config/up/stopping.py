"""Ending everything that was started: what was told to end, and then whatever is left."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence

import psutil

from config.up.instance import Instance
from config.up.programs import Program
from config.up.progress import say
from config.up.supervision import Control
from workers.backends.process.shutdown import stop_all

PR_SET_CHILD_SUBREAPER = 36
ENGINE_SECONDS = 3  # the gateway is gone, so nobody waits for an answer
SUPERVISOR_SECONDS = 75
LEFTOVER_SECONDS = 5


def adopt_orphans() -> None:
    """From now on, whatever loses its parent below us becomes our child, so that none can be missed at the end."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def stop_everything(
    instance: Instance,
    processes: Sequence[Program],
    servers: Sequence[Program],
    supervisor: subprocess.Popen[bytes] | None,
    control: Control,
) -> None:
    """Processes first (the worker must not restart engines), then engines, then the servers that hold the data."""
    if supervisor is not None:
        control.stop(processes)
    stop_all(instance.replicas, timeout=ENGINE_SECONDS)
    if supervisor is not None:
        control.stop(servers)
        supervisor.send_signal(signal.SIGTERM)
        _wait(supervisor)
    _end_leftovers()


def _wait(supervisor: subprocess.Popen[bytes]) -> None:
    try:
        supervisor.wait(SUPERVISOR_SECONDS)
    except subprocess.TimeoutExpired:
        say("    supervisord takes too long and is killed")
        supervisor.kill()
        supervisor.wait()


def _end_leftovers() -> None:
    left = psutil.Process(os.getpid()).children(recursive=True)
    for process in left:
        _signal(process, signal.SIGTERM)
    for process in psutil.wait_procs(left, timeout=LEFTOVER_SECONDS)[1]:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=LEFTOVER_SECONDS)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
