"""A whole Signalbox, started as a user starts it: ``make up`` in a directory of its own, with free ports."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import psutil

from config import env

QUESTION = "In one sentence: what is the capital of France?"
UP = "Ctrl-C stops everything"
FIRST_START_SECONDS = 900
STOP_SECONDS = 150


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class RunningSignalbox:
    """One instance; `start` and `stop` may be called again and again on the same data."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        self.console_port, self.gateway_port, self.metrics_port = free_port(), free_port(), free_port()
        self.variables = variables
        self._output = home.with_name(home.name + ".output")
        self._process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """What a user's shell has: nothing of the test suite's own instance."""
        own = ("SIGNALBOX_", "DATABASE_", "REDIS_", "SECRET_KEY", "DJANGO_", "PYTEST_", "MAKE", "MFLAGS")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        return inherited | {
            "SIGNALBOX_HOME": str(self.home),
            "SIGNALBOX_CONSOLE_PORT": str(self.console_port),
            "SIGNALBOX_GATEWAY_PORT": str(self.gateway_port),
            "SIGNALBOX_GATEWAY_METRICS_PORT": str(self.metrics_port),
            **self.variables,
        }

    def start(self, wait: bool = True) -> float:
        """``make up``; answers how many seconds it took until it told that all is up."""
        begun = time.monotonic()
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                ["make", "up"], cwd=env.ROOT, env=self.environment(), stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        while wait and UP not in self.output:
            if self._process.poll() is not None:
                raise AssertionError(f"make up ended with {self._process.returncode}:\n{self.output}")
            assert time.monotonic() - begun < FIRST_START_SECONDS, f"make up takes too long:\n{self.output}"
            time.sleep(0.2)
        return time.monotonic() - begun

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """The signal to the whole foreground group, as a terminal sends Ctrl-C; answers make's exit status."""
        if self._process is None:
            return 0
        os.killpg(self._process.pid, number)
        status = self._process.wait(STOP_SECONDS)
        self._process = None
        return status

    def wait_for_end(self, seconds: float) -> int:
        assert self._process is not None
        status = self._process.wait(seconds)
        self._process = None
        return status

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def credentials(self) -> dict[str, str]:
        return env.read_env_file(self.home / "dev" / "credentials.env")

    @property
    def gateway_url(self) -> str:
        return self.credentials["SIGNALBOX_GATEWAY_URL"]

    @property
    def console_url(self) -> str:
        return self.credentials["SIGNALBOX_URL"]

    def api(self) -> httpx.Client:
        """The management API as the administrator."""
        headers = {"Authorization": f"Bearer {self.credentials['SIGNALBOX_ADMIN_TOKEN']}"}
        return httpx.Client(base_url=f"{self.console_url}/api/v1", headers=headers, timeout=30, trust_env=False)

    def history(self) -> list[dict[str, str]]:
        """What became of its first replica, the newest first."""
        with self.api() as api:
            replica = api.get("/replicas").json()["results"][0]
            history: list[dict[str, str]] = api.get(f"/replicas/{replica['id']}").json()["history"]
            return history

    def ask(self, question: str = QUESTION, key: str | None = None) -> httpx.Response:
        """One chat request through the gateway."""
        body = {
            "model": self.credentials["SIGNALBOX_MODEL"], "temperature": 0, "max_tokens": 32,
            "messages": [{"role": "user", "content": question}],
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {key or self.credentials['SIGNALBOX_API_KEY']}"}
        url = f"{self.gateway_url}/v1/chat/completions"
        return httpx.post(url, json=body, headers=headers, timeout=120, trust_env=False)

    def wait_for_answer(self, seconds: float) -> float:
        """Until the model answers; how long that took."""
        begun = time.monotonic()
        last: object = None
        while time.monotonic() - begun < seconds:
            try:
                last = answer = self.ask()
                if answer.status_code == 200:
                    return time.monotonic() - begun
            except httpx.HTTPError as exc:
                last = exc
            time.sleep(0.5)
        raise AssertionError(f"no answer after {seconds} s: {getattr(last, 'text', last)}")

    def wait_for_console(self, seconds: float) -> None:
        """Until it serves; the gateway answers without it."""
        begun = time.monotonic()
        while not (up := self.console_port in self.ports_in_use()) and time.monotonic() - begun < seconds:
            time.sleep(0.2)
        assert up, f"no console after {seconds} s:\n{self.output}"

    def manage(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """``manage.py`` in another terminal."""
        python = env.ROOT / ".venv" / "bin" / "python"
        return subprocess.run(
            [python, "manage.py", *argv], cwd=env.ROOT, env=self.environment(), capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip

    def processes(self) -> list[psutil.Process]:
        """Every process of this instance: by the environment that all inherit, or where it works.

        PostgreSQL and vLLM write their title over their environment; both work in a directory of the instance.
        """
        return [one for one in psutil.process_iter() if one.pid != os.getpid() and self._is_mine(one)]

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            return (
                process.environ().get("SIGNALBOX_HOME") == str(self.home)
                or Path(process.cwd()).is_relative_to(self.home)
                or str(self.home) in " ".join(process.cmdline())
            )
        except (psutil.Error, OSError):
            return False

    def engine(self) -> psutil.Process:
        """The process that holds the model: it works in its replica's directory, and nothing there is larger."""
        there = [one for one in self.processes() if _works_in(one, self.home / "replicas")]
        return max(there, key=lambda process: process.memory_info().rss)

    def find(self, *words: str) -> list[psutil.Process]:
        """Processes of this instance whose command line holds all the words."""
        return [process for process in self.processes() if all(word in _line(process) for word in words)]

    def ports_in_use(self) -> list[int]:
        def taken(port: int) -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        return [port for port in (self.console_port, self.gateway_port) if taken(port)]


def _works_in(process: psutil.Process, directory: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(directory)
    except (psutil.Error, OSError):
        return False


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
