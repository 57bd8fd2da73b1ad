"""kill -9 of any process: it comes back by itself, and the history says why."""

import time

import psutil
import pytest

from tests import figures
from tests.e2e.running import RunningSignalbox
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


def kill(processes: list[psutil.Process]) -> set[int]:
    assert processes
    for process in processes:
        process.kill()
    return {process.pid for process in processes}


def test_engine_comes_back_and_history_says_why(signalbox: RunningSignalbox) -> None:
    signalbox.engine().kill()
    time.sleep(1)
    took = signalbox.wait_for_answer(90)
    figures.tell(f"kill -9 of the engine: answers again after {took + 1:.0f} s")
    assert any("9" in line["message"] or "SIGKILL" in line["message"] for line in signalbox.history())


@pytest.mark.parametrize("words", [("celery", "worker"), ("celery", "beat"), ("config.asgi",), ("-m inference",)])
def test_killed_process_is_restarted(signalbox: RunningSignalbox, words: tuple[str, ...]) -> None:
    gone = kill(signalbox.find(*words))
    until(lambda: bool({process.pid for process in signalbox.find(*words)} - gone), 30)
    signalbox.wait_for_answer(30)


def test_one_gateway_worker_is_replaced(signalbox: RunningSignalbox) -> None:
    parents = [p for p in signalbox.find("-m inference") if p.children()]
    workers = parents[0].children()
    victim = next(
        w for w in workers if any(c.laddr and c.laddr.port == signalbox.gateway_port for c in w.net_connections())
    )
    victim.kill()
    until(lambda: len([c for c in parents[0].children() if c.status() != psutil.STATUS_ZOMBIE]) >= len(workers), 30)
    assert signalbox.wait_for_answer(30) < 30


def test_killed_postgresql_and_valkey_come_back(signalbox: RunningSignalbox) -> None:
    for words in (("postgres", str(signalbox.home)), ("valkey-server",)):
        kill(signalbox.find(*words)[:1])
    signalbox.wait_for_answer(60)


def test_worker_restart_adopts_the_engine(signalbox: RunningSignalbox) -> None:
    engine = signalbox.engine()
    kill(signalbox.find("celery", "worker"))
    time.sleep(12)
    assert signalbox.ask().status_code == 200
    assert signalbox.engine() == engine
