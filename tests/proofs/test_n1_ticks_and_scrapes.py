"""The bars of alerts: 300 rules over 100 replicas in a tick of a second, a scrape of 100 targets in two."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from controlplane.models import Alert
from monitoring import rounds, samples
from monitoring.scrape import Answer, scrape
from monitoring.targets import Target
from monitoring.vocabulary import readings
from tests import factories
from tests.monitoring.conftest import NOW
from tests.monitoring.engine_text import vllm
from tests.proofs.proof import Proof

pytestmark = pytest.mark.django_db
METRICS = [
    ("kv_cache_use", "avg", 85), ("kv_cache_use", "max", 95), ("queue_length", "avg", 10), ("queue_length", "max", 50),
    ("time_to_first_token", "p99", 5), ("time_to_first_token", "p50", 1), ("end_to_end_latency", "p99", 60),
    ("inter_token_latency", "p95", 1), ("tokens_per_second", "rate", 1e9), ("replicas_not_ready", "last", 3),
]  # fmt: skip
WINDOWS = (60, 300, 900)


def fill(replicas: int, minutes: int) -> None:
    """Deployments of five replicas each, with a sample every 15 s."""
    texts = [vllm(first_tokens=[0.1, 0.5, 2.0] * step, kv_use=0.9, tokens=step * 100).encode() for step in range(1, 9)]
    told = [readings("engine", text) for text in texts]
    names = [f"d-{number}" for number in range(replicas // 5)]
    for name in names:
        factories.DeploymentFactory(name=name, replicas=5)
    targets = [
        Target("engine", f"{names[n // 5]}-{n % 5}", "", names[n // 5], f"{names[n // 5]}-{n % 5}")
        for n in range(replicas)
    ]
    steps = minutes * 4
    for step in range(steps):
        at = NOW - timedelta(seconds=15 * (steps - 1 - step))
        samples.write([Answer(target, told[min(step, 7)]) for target in targets], at)


@pytest.mark.proof("N1", seconds=240)
def test_tick_of_many_rules(proof: Proof) -> None:
    rules, replicas = proof.full(60, 300), proof.full(20, 100)
    fill(replicas, proof.full(3, 15))
    for number in range(rules):
        metric, aggregation, threshold = METRICS[number % len(METRICS)]
        factories.AlertRuleFactory(
            name=f"r{number}", metric=metric, aggregation=aggregation, threshold=threshold, for_seconds=0,
            window_seconds=WINDOWS[number % 3],
        )  # fmt: skip
    first = rounds.evaluate(NOW)
    later = [rounds.evaluate(NOW + timedelta(milliseconds=number + 1)) for number in range(5)]
    assert first
    took = max(done.seconds for done in later if done)
    counted = f"{rules} rules, {replicas} replicas, {first.values:,} values, {Alert.objects.count():,} alerts"
    proof.show("a tick", counted=counted, bar="≤ 1 s", measured=f"{took:.2f} s, the first {first.seconds:.2f} s",
               held=took <= 1, timed=True)  # fmt: skip
    assert first.values > rules


@pytest.fixture
def engines(proof: Proof) -> Iterator[list[str]]:
    """Each at a port of its own, all in a process of their own: what they cost is not the scraper's."""
    argv = [sys.executable, "-m", "tests.proofs.metrics_of_engines", str(proof.full(20, 100))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield [f"http://127.0.0.1:{port}/metrics" for port in process.stdout.readline().split()]
        process.kill()


@pytest.mark.proof("N1", seconds=60)
def test_scrape_of_many_targets(proof: Proof, engines: list[str]) -> None:
    count = len(engines)
    targets = [Target("engine", f"d-{n}", url, "d", f"d-{n}") for n, url in enumerate(engines)]
    took = []
    for number in range(3):
        began = time.perf_counter()
        answers = scrape(targets)
        written = samples.write(answers, NOW + timedelta(seconds=number))
        took.append(time.perf_counter() - began)
        assert not [answer.error for answer in answers if answer.error]
        assert written >= count * 8
    proof.show("a scrape, written", counted=f"{count} targets, {written:,} samples", bar="≤ 2 s",
               measured=f"{max(took):.2f} s", held=max(took) <= 2, timed=True)  # fmt: skip
