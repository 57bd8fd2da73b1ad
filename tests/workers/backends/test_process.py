"""Engines as processes: who dies, what is left, what is written down."""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.waiting import until
from tests.workers.conftest import MakeBackend
from tests.workers.specs import spec
from workers.backends.base import BackendError, Obstacle, Phase, ReplicaStatus
from workers.backends.process.backend import Command, ProcessBackend
from workers.backends.process.identity import Identity
from workers.backends.process.shutdown import stop_all
from workers.backends.process.state import ReplicaDirectory


@dataclass
class Engine:
    """A running replica and all of its processes."""

    backend: ProcessBackend
    directory: ReplicaDirectory

    @property
    def status(self) -> ReplicaStatus:
        (status,) = self.backend.observe()
        return status

    @property
    def pid(self) -> int:
        pid = self.status.pid
        assert pid is not None
        return pid

    @property
    def shim(self) -> int:
        run = self.directory.run()
        assert run is not None
        return run.shim.pid

    def family(self) -> list[psutil.Process]:
        return [psutil.Process(self.shim), *psutil.Process(self.shim).children(recursive=True)]

    def exited(self) -> ReplicaStatus:
        return until(lambda: status if (status := self.status).phase is Phase.EXITED else None)


def _start(backend: ProcessBackend, replicas_dir: Path, *, listening: bool = True) -> Engine:
    backend.apply(spec())
    engine = Engine(backend, ReplicaDirectory(replicas_dir / "web-0"))
    if listening:
        until(lambda: _health(engine.status.url))
    return engine


def _health(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _all_gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=5)[1]


def test_engine_runs_in_a_session_of_its_own(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend(), replicas_dir)
    assert os.getsid(engine.pid) == engine.pid
    assert os.getsid(engine.shim) != os.getsid(0)
    assert psutil.Process(engine.shim).ppid() != os.getpid()


def test_key_is_in_the_environment_only(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend(), replicas_dir)
    assert psutil.Process(engine.pid).environ()["VLLM_API_KEY"] == "secret-key"
    assert all("secret-key" not in " ".join(process.cmdline()) for process in engine.family())
    files = [path for path in replicas_dir.rglob("*") if path.is_file()]
    assert all(b"secret-key" not in path.read_bytes() for path in files)
    assert replicas_dir.stat().st_mode & 0o077 == 0


def test_restarted_worker_adopts(make_backend: MakeBackend, replicas_dir: Path) -> None:
    pid = _start(make_backend(), replicas_dir).pid
    restarted = make_backend()
    restarted.apply(spec())
    assert [status.pid for status in restarted.observe()] == [pid]


def test_pid_of_somebody_else_is_not_adopted(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend("family"), replicas_dir)
    family, run = engine.family(), engine.directory.run()
    assert run is not None
    mine = Identity.of(os.getpid())
    assert mine is not None
    stop_all(replicas_dir, timeout=5)
    assert _all_gone(family)
    (engine.directory.path / "exit.json").unlink()
    engine.directory.write_run(type(run)(Identity(mine.pid, mine.started - 1, mine.boot), None, run.started_at))
    assert engine.status.phase is Phase.EXITED
    engine.backend.delete("web-0")  # would have ended this test


def test_crash_is_told_with_its_last_words(make_backend: MakeBackend, replicas_dir: Path) -> None:
    status = _start(make_backend("crash"), replicas_dir, listening=False).exited()
    assert (status.exit_code, status.exit_signal, status.stop_ordered) == (3, None, False)
    assert "ValueError: bad argument" in status.log_tail


def test_crashed_starts_anew_and_keeps_its_log(make_backend: MakeBackend, replicas_dir: Path) -> None:
    _start(make_backend("crash"), replicas_dir, listening=False).exited()
    engine = _start(make_backend(), replicas_dir)
    assert engine.status.phase is Phase.RUNNING
    assert "ValueError" in engine.directory.log.read_text()


def test_killed_engine_takes_its_family_along(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend("family"), replicas_dir)
    family = until(lambda: found if len(found := engine.family()) == 4 else None)
    os.kill(engine.pid, signal.SIGKILL)
    status = engine.exited()
    assert (status.exit_code, status.exit_signal) == (None, signal.SIGKILL)
    assert _all_gone(family)


def test_killed_shim_takes_the_engine_along(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend("family"), replicas_dir)
    family = until(lambda: found if len(found := engine.family()) == 4 else None)
    outsider = [process for process in family if os.getsid(process.pid) == process.pid][-1]
    os.kill(engine.shim, signal.SIGKILL)
    status = engine.exited()
    assert "supervisor was killed" in status.message
    rest = [process for process in family if process.pid != outsider.pid]
    try:
        assert until(lambda: engine.status and _all_gone(rest))
    finally:
        outsider.kill()  # it left the session on purpose, and nobody is left who would know it


def test_killed_shim_does_not_stop_the_next_start(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend(), replicas_dir)
    before = engine.pid
    os.kill(engine.shim, signal.SIGKILL)
    engine.exited()

    def again() -> bool:
        with contextlib.suppress(BackendError):  # while the last engine's processes are being killed
            engine.backend.apply(spec())
        return engine.status.phase is Phase.RUNNING

    until(again)
    assert engine.pid != before


def test_delete_returns_at_once_and_drains(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend("stubborn"), replicas_dir)
    family = engine.family()
    engine.backend.delete("web-0")
    status = engine.status
    assert (status.phase, status.stop_ordered) == (Phase.STOPPING, True)
    assert status.url
    assert all(process.is_running() for process in family)


def test_stubborn_engine_is_killed_after_the_drain_time(make_backend: MakeBackend, replicas_dir: Path) -> None:
    backend = make_backend("stubborn", "family")
    backend.apply(spec(drain_seconds=1))
    engine = Engine(backend, ReplicaDirectory(replicas_dir / "web-0"))
    until(lambda: _health(engine.status.url))
    family = engine.family()
    backend.delete("web-0")
    status = engine.exited()
    assert status.exit_signal == signal.SIGKILL
    assert status.stop_ordered
    assert _all_gone(family)
    assert "still running after 1 s" in engine.directory.log.read_text()


def test_changed_drain_time_counts_for_a_running_engine(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend("stubborn"), replicas_dir)
    engine.backend.apply(spec(drain_seconds=0))
    engine.backend.delete("web-0")
    assert engine.exited().exit_signal == signal.SIGKILL


def test_grace_takes_the_place_of_the_drain_time(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend("stubborn"), replicas_dir)
    engine.backend.delete("web-0", grace_seconds=0)
    assert engine.exited().exit_signal == signal.SIGKILL


def test_forgotten_leaves_no_file(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend(), replicas_dir)
    engine.backend.delete("web-0")
    engine.exited()
    engine.backend.delete("web-0")
    assert not engine.directory.path.exists()


def test_all_output_is_logged(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend("chatty"), replicas_dir)
    assert "line 19999" in engine.directory.log.read_text()
    assert "engine says hello" in engine.directory.log.read_text()


def test_ports_differ(make_backend: MakeBackend) -> None:
    backend = make_backend("crash")
    for number in range(5):
        backend.apply(spec(name=f"web-{number}"))
    orders = [ReplicaDirectory(path).order() for path in (backend._dir).glob("web-*")]
    assert len({order.port for order in orders if order}) == 5


def test_command_that_does_not_exist_is_a_clear_end(replicas_dir: Path) -> None:
    backend = ProcessBackend(
        replicas_dir, command_for=lambda *_: Command(["/nowhere/python"], {}), check=lambda _: None
    )
    backend.apply(spec())
    (status,) = backend.observe()
    assert status.phase is Phase.EXITED
    assert "/nowhere/python" in status.message


def test_refused_check_starts_nothing(replicas_dir: Path) -> None:
    def check(_: object) -> None:
        raise BackendError("no", reason=Obstacle.NO_MEMORY)

    backend = ProcessBackend(replicas_dir, command_for=lambda *_: Command([], {}), check=check)
    with pytest.raises(BackendError) as caught:
        backend.apply(spec())
    assert caught.value.reason is Obstacle.NO_MEMORY
    assert backend.observe() == []


def test_replicas_dir_that_is_a_file_is_a_backend_error(tmp_path: Path) -> None:
    path = tmp_path / "replicas"
    path.write_text("")
    with pytest.raises(BackendError, match="refused"):
        ProcessBackend(path, command_for=lambda *_: Command([], {}), check=lambda _: None).observe()


@pytest.mark.parametrize("name", ["spec.json", "run.json", "exit.json"])
def test_garbled_file_harms_nothing(make_backend: MakeBackend, replicas_dir: Path, name: str) -> None:
    engine = _start(make_backend("crash"), replicas_dir, listening=False)
    engine.exited()
    until(lambda: not psutil.pid_exists(engine.shim))
    (engine.directory.path / name).write_text('{"half":')
    engine.backend.observe()
    engine.backend.apply(spec())
    assert engine.exited().exit_code == 3


def test_stop_all_ends_everything(make_backend: MakeBackend, replicas_dir: Path) -> None:
    backend = make_backend("family")
    for number in range(3):
        backend.apply(spec(name=f"web-{number}"))
    family = [
        process
        for status in backend.observe()
        for process in Engine(backend, ReplicaDirectory(replicas_dir / status.name)).family()
    ]
    assert stop_all(replicas_dir, timeout=10) == ["web-0", "web-1", "web-2"]
    assert _all_gone(family)
    assert {status.phase for status in backend.observe()} == {Phase.EXITED}
    assert all(status.stop_ordered for status in backend.observe())


def test_stop_all_kills_the_stubborn(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend("stubborn"), replicas_dir)
    family = engine.family()
    assert stop_all(replicas_dir, timeout=0.2) == ["web-0"]
    assert _all_gone(family)


def test_stop_all_cleans_up_after_a_killed_shim(make_backend: MakeBackend, replicas_dir: Path) -> None:
    engine = _start(make_backend(), replicas_dir)
    family = engine.family()
    os.kill(engine.shim, signal.SIGKILL)
    stop_all(replicas_dir, timeout=1)
    assert _all_gone(family)


def test_stop_all_of_nothing(replicas_dir: Path) -> None:
    assert stop_all(replicas_dir, timeout=1) == []
