"""Samples in PostgreSQL: counters without their resets, one partition a day, dropped whole."""

from datetime import timedelta

import pytest
from django.db import connections

from monitoring import gather, partitions, samples
from monitoring.models import Series
from monitoring.samples import Known, step
from monitoring.scrape import Answer
from monitoring.targets import Target
from monitoring.vocabulary import Reading
from tests.monitoring.conftest import NOW, Scraped
from tests.monitoring.engine_text import vllm

pytestmark = pytest.mark.django_db


def counter(value: float) -> Reading:
    return Reading("engine_generation_tokens", (value,), counts_up=True)


@pytest.mark.parametrize(
    ("raw", "base", "now", "kept", "new_base"),
    [((), (), 5, 5, 0), ((5,), (0,), 9, 9, 0), ((9,), (0,), 2, 11, 9), ((2,), (9,), 3, 12, 9), ((3,), (9,), 0, 12, 12)],
)
def test_counter_never_falls(
    raw: tuple[float, ...], base: tuple[float, ...], now: float, kept: float, new_base: float
) -> None:
    done = step(Known(1, raw, base, NOW), counter(now))
    assert (done.values, done.base) == ((kept,), (new_base,))


def test_gauge_may_fall() -> None:
    assert step(Known(1, (9.0,), (0.0,), NOW), Reading("engine_waiting", (2.0,))).values == (2.0,)


def test_restart_of_an_engine_loses_nothing(scraped: Scraped) -> None:
    scraped("d", "d-0", [vllm(tokens=count) for count in (100, 150, 20, 60)])
    (row,) = [it for it in gather.rows(["engine_generation_tokens"], 300, NOW) if it.replica == "d-0"]
    assert (row.figures, row.seconds) == ([50 + 60], 45.0)


def test_first_failure_counts_though_its_series_is_new() -> None:
    """Labels appear with their first event; a target that was scraped before had none of it."""
    gateway = Target("gateway", "g", "http://g")
    requests = {"counts_up": True, "route": "r", "deployment": "d", "project": "p"}
    ok = [Reading("gateway_requests", (float(count),), part="200", **requests) for count in (100, 110)]
    bad = Reading("gateway_requests", (3.0,), part="502", **requests)
    samples.write([Answer(gateway, [ok[0]])], NOW - timedelta(seconds=15))
    samples.write([Answer(gateway, [ok[1], bad])], NOW)
    grown = {row.part: row.figures[0] for row in gather.rows(["gateway_requests"], 60, NOW)}
    assert grown == {"200": 10.0, "502": 3.0}


def test_same_scrape_twice_is_written_once(scraped: Scraped) -> None:
    scraped("d", "d-0", [vllm()])
    scraped("d", "d-0", [vllm(waiting=9)])
    (row,) = gather.rows(["engine_waiting"], 300, NOW)
    assert row.figures[3] == 0.0


def test_other_bounds_are_another_series(scraped: Scraped) -> None:
    scraped("d", "d-0", [vllm(first_tokens=[1]), vllm(first_tokens=[1, 2]).replace('le="80.0"', 'le="81.0"')])
    assert Series.objects.filter(metric="engine_ttft").count() == 2


def test_scrape_of_nobody_is_nothing() -> None:
    assert samples.write([], NOW) == 0


@pytest.mark.django_db(databases=["default", "owner"])
def test_partitions_are_made_ahead_and_old_ones_dropped() -> None:
    made = partitions.ensure_partitions(NOW, "owner")
    assert len(made) == partitions.DAYS_AHEAD + 2
    assert partitions.ensure_partitions(NOW, "owner") == made
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "CREATE TABLE monitoring_sample_2020_01_01 PARTITION OF monitoring_sample"
            " FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')"
        )
    assert partitions.drop_partitions(NOW, 15, "owner") == ["monitoring_sample_2020_01_01"]
    assert partitions.drop_partitions(NOW, 15, "owner") == []


@pytest.mark.django_db(databases=["default", "owner"])
def test_stray_samples_do_not_stop_a_partition() -> None:
    ahead = NOW + timedelta(days=30)
    with connections["owner"].cursor() as cursor:
        cursor.execute('INSERT INTO monitoring_sample (series, at, "values") VALUES (1, %s, %s)', [ahead, [1.0]])
    assert partitions.ensure_partitions(ahead, "owner")
