"""supervisord: restarts what dies, stops everything in order. Its configuration is written anew at each start."""

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client  # nosec B411
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from config.embedded import socket_dir
from config.env import ROOT
from config.up.instance import Instance
from config.up.programs import Program
from config.up.progress import UpError

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def configuration(instance: Instance, programs: Sequence[Program]) -> str:
    """The text of supervisord.conf. Programs do not start by themselves: the story in `__main__` says when."""
    sections: list[tuple[str, dict[str, Any]]] = [
        ("supervisord", {
            "nodaemon": "true", "silent": "true", "logfile": instance.logs / "supervisord.log",
            "logfile_maxbytes": "5MB", "logfile_backups": 2, "pidfile": instance.run / "supervisord.pid",
            "childlogdir": instance.logs, "directory": ROOT, "minfds": 1024, "umask": "027",
            **({"user": "root"} if os.geteuid() == 0 else {}),
        }),
        ("unix_http_server", {"file": control_socket(instance), "chmod": "0700"}),
        ("rpcinterface:supervisor", {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }),
        ("supervisorctl", {"serverurl": f"unix://{control_socket(instance)}"}),
        *((f"program:{program.name}", _program(instance, program)) for program in programs),
    ]  # fmt: skip
    return "\n".join(_section(name, options) for name, options in sections)


def _program(instance: Instance, program: Program) -> dict[str, Any]:
    options = {
        "command": " ".join(_quoted(word) for word in program.argv),
        "directory": ROOT,
        "priority": program.priority,
        "autostart": "false",
        "autorestart": "true",
        "startsecs": 3,  # longer than a process takes to find that it cannot run
        "startretries": 1_000_000,  # a dependency may be away for long; supervisord backs off by itself
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_wait,
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": instance.logs / f"{program.name}.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 3,
    }
    if not program.may_own:
        options["environment"] = 'DATABASE_OWNER_URL=""'
    return options | ({"user": program.user, "directory": "/"} if program.user else {})


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _section(name: str, options: dict[str, Any]) -> str:
    lines = (f"{key} = {str(value).replace('%', '%%')}" for key, value in options.items())
    return "\n".join([f"[{name}]", *lines, ""])


def control_socket(instance: Instance) -> Path:
    return socket_dir(instance.home) / "supervisor.sock"


def start(instance: Instance, programs: Sequence[Program]) -> subprocess.Popen[bytes]:
    """supervisord in a session of its own, so that Ctrl-C reaches only us; it ends when we are killed."""
    path = instance.run / "supervisord.conf"
    path.write_text(configuration(instance, programs), encoding="utf-8")
    control_socket(instance).parent.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-n", "-c", str(path)]
    with (instance.logs / "supervisord.out").open("ab") as out:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT, start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - only async-signal-safe calls, before any thread of ours
        )  # fmt: skip


def _end_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Control:
    """Orders to a running supervisord through its socket."""

    def __init__(self, instance: Instance) -> None:
        transport = _UnixTransport(control_socket(instance))
        self._api: Any = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport).supervisor

    def answers(self) -> bool:
        try:
            return bool(self._api.getState()["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return False

    def start(self, program: Program) -> None:
        """Start it and return at once. Raises `UpError` when the command cannot be run at all."""
        try:
            self._api.startProcess(program.name, False)
        except xmlrpc.client.Fault as fault:
            raise UpError(f"{program.name} could not be started: {fault.faultString}. See its log.") from fault

    def not_running(self) -> list[str]:
        """The names of the programs that have not (or not yet) stayed up."""
        return [info["name"] for info in self._api.getAllProcessInfo() if info["statename"] != "RUNNING"]

    def stop(self, programs: Iterable[Program]) -> None:
        """Stop all of them at once and return when they are gone; nothing happens when supervisord is gone."""
        names = {program.name for program in programs}
        for name in names:
            with suppress(OSError, xmlrpc.client.Error, http.client.HTTPException):  # it does not run
                self._api.stopProcess(name, False)
        with suppress(OSError, xmlrpc.client.Error, http.client.HTTPException):
            while any(info["name"] in names and info["pid"] for info in self._api.getAllProcessInfo()):
                time.sleep(0.1)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost", timeout=120)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(120)
        connection.sock.connect(str(self._path))
        return connection
