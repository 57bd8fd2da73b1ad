"""Probes against a fake engine over real HTTP."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from tests.waiting import until
from tests.workers.conftest import ENGINE
from workers import probe
from workers.backends.process import ports
from workers.probe import Prober, Target
from workers.verdict import Health

Serve = Callable[..., Target]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve("hung", ready=True)`: a target whose engine behaves so."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*behaviours: str, ready: bool = False, external: bool = False) -> Target:
        port = ports.pick([], random.Random())
        engine = subprocess.Popen(
            [sys.executable, "-S", "-E", str(ENGINE), str(port), *behaviours], env={"VLLM_API_KEY": "key"},
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        running.append(engine)
        target = Target("a-0", f"http://127.0.0.1:{port}", "m", "key", run=1.0, ready=ready, external=external)
        until(lambda: _listens(target))
        return target

    yield start
    for engine in running:
        engine.kill()
        engine.wait()


def _listens(target: Target) -> bool:
    try:
        return bool(httpx.get(f"{target.url}/metrics", trust_env=False))
    except httpx.HTTPError:
        return False


def _ask(*targets: Target, patience: float = 10) -> dict[str, Health]:
    return Prober().ask(targets, patience)


def test_health_and_a_token_make_it_ready(serve: Serve) -> None:
    assert _ask(serve()) == {"a-0": Health(ok=True)}


@pytest.mark.parametrize(("behaviour", "reason"), [("sick", "unhealthy"), ("mute", "no_token")])
def test_one_of_both_is_not_enough(serve: Serve, behaviour: str, reason: str) -> None:
    health = _ask(serve(behaviour))["a-0"]
    assert (health.ok, health.reason) == (False, reason)
    assert "http://127.0.0.1" in health.message


def test_code_for_log_probabilities_is_compiled_before_it_is_ready(serve: Serve) -> None:
    target = serve("lazy")
    assert _ask(target)["a-0"].ok
    assert not _ask(replace(target, ready=True))["a-0"].ok


def test_engine_without_log_probabilities_is_ready_all_the_same(serve: Serve) -> None:
    assert _ask(serve("plain"))["a-0"].ok


def test_wrong_key_is_not_ready(serve: Serve) -> None:
    assert _ask(replace(serve(), key="other"))["a-0"].reason == "no_token"


def test_nobody_there() -> None:
    health = _ask(Target("a-0", "http://127.0.0.1:9", "m", "", run=1.0, ready=False, external=False))["a-0"]
    assert (health.ok, health.reason) == (False, "no_answer")


def test_hung_engine_with_work_is_found_out(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROGRESS_SECONDS", 0.6)
    assert _ask(serve("hung", ready=True))["a-0"].reason == "no_progress"


def test_hang_counts_however_long_it_took_to_find_out(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is too old when it waited to be read, not when the engine was watched for long."""
    monkeypatch.setattr(probe, "PROGRESS_SECONDS", 3.0)
    monkeypatch.setattr(probe, "STALE_SECONDS", 2.5)
    target, prober = serve("hung", ready=True), Prober()
    assert prober.ask([target], 0.1) == {}
    time.sleep(3.6)
    assert prober.ask([target], 0.1)["a-0"].reason == "no_progress"


def test_busy_engine_is_not_asked_for_a_token(serve: Serve) -> None:
    assert _ask(serve("busy", "mute", ready=True)) == {"a-0": Health(ok=True)}


def test_idle_engine_is_asked_for_a_token_now_and_then(serve: Serve) -> None:
    target, prober = serve("mute", ready=True), Prober()
    assert prober.ask([target], 10)["a-0"].reason == "no_token"


def test_token_is_not_asked_for_at_every_look(serve: Serve) -> None:
    target, prober = replace(serve(), ready=True), Prober()
    assert prober.ask([target], 10)["a-0"].ok
    assert prober.ask([replace(target, key="wrong by now")], 10)["a-0"].ok


def test_late_answer_is_there_next_time(serve: Serve) -> None:
    target, prober = serve("slow"), Prober()
    begun = time.monotonic()
    assert prober.ask([target], 0.2) == {}
    assert time.monotonic() - begun < 1
    time.sleep(2.2)
    assert prober.ask([target], 0.2) == {"a-0": Health(ok=True)}


def test_answer_of_an_earlier_start_does_not_count(serve: Serve) -> None:
    target, prober = serve("slow"), Prober()
    prober.ask([target], 0.1)
    time.sleep(2.2)
    assert prober.ask([replace(target, run=2.0)], 0.1) == {}


def test_answer_from_before_it_was_ready_does_not_count(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker has seen it answer meanwhile: that this one's question met it loading says nothing any more."""
    monkeypatch.setattr(probe, "TOKEN_SECONDS", 0.5)
    target, prober = serve("slow"), Prober()
    prober.ask([target], 0.1)
    time.sleep(1)
    monkeypatch.setattr(probe, "TOKEN_SECONDS", 20.0)
    assert prober.ask([replace(target, ready=True)], 5) == {"a-0": Health(ok=True)}


def test_ready_engine_may_be_silent_for_some_seconds(serve: Serve) -> None:
    """Others may have its processor; it is frozen here, and goes on."""
    assert _ask(replace(serve("silent"), ready=True)) == {"a-0": Health(ok=True)}


def test_connection_that_the_engine_closes_when_idle_is_no_fault(serve: Serve) -> None:
    """No look finds a connection that an earlier one left open: it may end while the question is written."""
    target, prober = serve("closing"), Prober()
    for _ in range(3):
        assert prober.ask([target], 5) == {"a-0": Health(ok=True)}


def test_many_are_asked_at_once(serve: Serve) -> None:
    target = serve("slow")
    begun = time.monotonic()
    found = _ask(*(replace(target, name=f"a-{number}") for number in range(10)))
    assert len(found) == 10
    assert time.monotonic() - begun < 8


def test_external_engine_needs_no_health_and_gives_no_token(serve: Serve) -> None:
    assert _ask(serve("mute", external=True))["a-0"].ok
    assert _ask(serve("sick", external=True))["a-0"].ok, "it answers at /v1/models"
