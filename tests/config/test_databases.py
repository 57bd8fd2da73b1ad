import pytest

from config.databases import LIVENESS, ServerAwayError, celery_broker, check_servers, django_database


def test_socket_url_becomes_djangos_settings() -> None:
    settings = django_database("postgresql:///signalbox?host=%2Ftmp%2Fs&user=postgres")
    assert settings["HOST"] == "/tmp/s"
    assert (settings["NAME"], settings["USER"]) == ("signalbox", "postgres")


def test_unknown_parameters_become_options() -> None:
    settings = django_database("postgresql://bob:pw@db.example:5433/sbx?sslmode=verify-full")
    assert settings["OPTIONS"] == {"sslmode": "verify-full", **LIVENESS}
    assert (settings["PORT"], settings["PASSWORD"]) == ("5433", "pw")


def test_what_a_url_says_of_time_outs_goes_before_ours() -> None:
    settings = django_database("postgresql:///sbx?connect_timeout=3")
    assert settings["OPTIONS"]["connect_timeout"] == "3"
    assert settings["OPTIONS"]["keepalives_idle"] == LIVENESS["keepalives_idle"]


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("unix:///run/v.sock", "redis+socket:///run/v.sock"),
        ("unix:///run/v.sock?db=3&password=a%2Fb", "redis+socket://:a%2Fb@/run/v.sock?virtual_host=3"),
        ("unix://bob:pw@/run/v.sock", "redis+socket://bob:pw@/run/v.sock"),
        ("rediss://r.example:6380/2", "rediss://r.example:6380/2"),
    ],
)
def test_broker_url_is_kombus(url: str, broker: str) -> None:
    assert celery_broker(url) == broker


def test_postgresql_that_is_away_is_named() -> None:
    with pytest.raises(ServerAwayError, match="PostgreSQL does not answer.*DATABASE_URL"):
        check_servers("postgresql://127.0.0.1:9/x", "redis://127.0.0.1:9")


def test_redis_that_is_away_is_named() -> None:
    import os

    with pytest.raises(ServerAwayError, match="Redis does not answer.*REDIS_URL"):
        check_servers(os.environ["DATABASE_URL"], "redis://127.0.0.1:9")
