"""One engine's supervisor, a process of its own: ``python -S -E -m workers.backends.process.shim DIRECTORY``.

It outlives the worker that started it (as containerd's shim outlives containerd), so engines keep serving while workers
restart. Standard library only, so that it starts in milliseconds and takes few megabytes.

What it promises: the engine's output ends in a bounded log; SIGTERM drains the engine and then kills it; when the
engine ends, nothing of its family lives on; how it ended is written down. Should the shim be killed, the kernel kills
the engine (`PR_SET_PDEATHSIG`) and the backend cleans up behind it.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from workers.backends.process.identity import Identity
from workers.backends.process.log_file import LogFile
from workers.backends.process.state import Exit, Order, ReplicaDirectory, Run

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_READ = 65536
_KILL_SECONDS = 5.0
_LAST_OUTPUT_SECONDS = 1.0
_OOM_SCORE = "500"  # when memory runs out the kernel takes the engine, not the database beside it
_libc = ctypes.CDLL(None, use_errno=True)


class Shim:
    """The running supervisor. `run()` returns when the engine has ended and all is written down."""

    def __init__(self, directory: ReplicaDirectory, order: Order, log: LogFile) -> None:
        self._directory, self._order, self._log = directory, order, log
        self._stop_at: float | None = None
        self._told = self._killed = False
        self._wake, wake_write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the engine and write down who runs. Raises `OSError` when the command cannot be run."""
        me, now = _identity(os.getpid()), time.time()
        self._directory.write_run(Run(me, None, now))
        self._log.say(f"starting on port {self._order.port}")
        engine = subprocess.Popen(
            self._order.argv, cwd=self._directory.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=_before_exec,  # noqa: PLW1509 - this process has one thread
        )  # fmt: skip
        self._directory.write_run(Run(me, Identity.of(engine.pid), now))
        return engine

    def run(self, engine: subprocess.Popen[bytes]) -> Exit:
        """Copy its output until it ends; end it when told to. Its family is dead when this returns."""
        assert engine.stdout is not None  # noqa: S101 - it was opened as a pipe
        output: IO[bytes] | None = engine.stdout
        while not _ended(engine.pid):
            output = self._copy(output, self._patience())
            self._reap_orphans(engine.pid)
            self._press(engine.pid)
        _kill_family(engine.pid)
        deadline = time.monotonic() + _LAST_OUTPUT_SECONDS
        while output is not None and time.monotonic() < deadline:
            output = self._copy(output, deadline - time.monotonic())
        return self._farewell(engine.wait())

    def _on_term(self, *_: Any) -> None:
        if self._stop_at is None:
            self._stop_at = time.monotonic()

    def _patience(self) -> float:
        """How long nothing needs doing. SIGCHLD and SIGTERM wake us earlier."""
        if self._stop_at is None or self._killed:
            return 60.0
        return max(0.0, self._stop_at + self._order.drain_seconds - time.monotonic())

    def _press(self, engine: int) -> None:
        """After SIGTERM: hand it on once, and kill when the drain time is over."""
        if self._stop_at is None or self._killed:
            return
        if not self._told:
            self._told = True
            self._order = self._directory.order() or self._order  # the drain time may have changed meanwhile
            self._directory.order_stop()
            self._log.say("ending it with SIGTERM")
            os.kill(engine, signal.SIGTERM)  # a zombie at worst: only we reap it
        elif self._patience() <= 0:
            self._log.say(f"still running after {self._order.drain_seconds:.0f} s, killing it")
            _kill_group(engine)
            self._killed = True

    def _copy(self, output: IO[bytes] | None, seconds: float) -> IO[bytes] | None:
        """Wait for output or a signal, and log what is there. None once the output is closed."""
        waiting = [self._wake] if output is None else [self._wake, output.fileno()]
        readable = select.select(waiting, [], [], seconds)[0]
        if self._wake in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, _READ)
        if output is not None and output.fileno() in readable:
            data = os.read(output.fileno(), _READ)
            if not data:
                return None
            self._log.write(data)
        return output

    @staticmethod
    def _reap_orphans(engine: int) -> None:
        """Children of a dead child of the engine fall to us; the engine itself is left to the end."""
        for pid in _children():
            if pid != engine:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def _farewell(self, code: int) -> Exit:
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        self._log.say(f"the engine ended with {how}")
        ordered = self._stop_at is not None
        return Exit(code if code >= 0 else None, -code if code < 0 else None, time.time(), ordered)


def _before_exec() -> None:
    """In the engine's process: end with the shim, and be the first to go when memory runs out."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with contextlib.suppress(OSError):
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(descriptor, _OOM_SCORE.encode())
        os.close(descriptor)


def _identity(pid: int) -> Identity:
    found = Identity.of(pid)
    if found is None:
        raise ProcessLookupError(pid)
    return found


def _ended(pid: int) -> bool:
    """Without reaping: as long as the zombie is there, its pid and its group number are nobody else's."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _kill_family(leader: int) -> None:
    """The group at once; then, as they fall to us, those that left it."""
    _kill_group(leader)
    deadline = time.monotonic() + _KILL_SECONDS
    while (left := [pid for pid in _children() if pid != leader]) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.01)


def _daemonise() -> int:
    """Go on in a process of nobody's; the one that was called stays until the returned pipe says how the start went."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        os._exit(0 if os.read(reader, 1) else 1)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(reader)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    return writer


def _supervise(directory: ReplicaDirectory, order: Order, started: int) -> None:
    log = LogFile(directory.log)
    try:
        shim = Shim(directory, order, log)
        engine = shim.start()
        os.write(started, b"1")
        os.close(started)
        directory.write_exit(shim.run(engine))
    except OSError as exc:
        log.say(f"could not run the engine: {exc}")
        directory.write_exit(Exit(None, None, time.time(), ordered=False, message=f"could not run the engine: {exc}"))


def main() -> None:
    directory = ReplicaDirectory(Path(sys.argv[1]))
    order = directory.order()
    if order is None:
        sys.exit(f"{directory.path} holds no order")
    os.umask(0o077)
    os.chdir(directory.path)
    started = _daemonise()
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _supervise(directory, order, started)


if __name__ == "__main__":
    main()
