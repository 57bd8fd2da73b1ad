import configparser
import os
from pathlib import Path

import pytest

from config.up import programs, supervision
from config.up.instance import Instance


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path / "50%", "127.0.0.1", 8000, 8080, 9108, gateway_workers=2, with_engine=False)


@pytest.fixture
def configuration(instance: Instance) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read_string(supervision.configuration(instance, programs.of_signalbox(instance)))
    return parser


def test_each_process_is_restarted_and_waits_for_the_word(configuration: configparser.ConfigParser) -> None:
    for name in ("console", "gateway", "worker", "beat"):
        section = configuration[f"program:{name}"]
        assert (section["autorestart"], section["autostart"]) == ("true", "false")


def test_percent_signs_survive(configuration: configparser.ConfigParser, instance: Instance) -> None:
    assert configuration["program:console"]["stdout_logfile"] == str(instance.logs / "console.log")


def test_workers_stop_before_what_they_use(instance: Instance) -> None:
    by_name = {program.name: program.priority for program in programs.of_signalbox(instance)}
    assert by_name["beat"] > by_name["worker"] > by_name["console"]


def test_only_the_worker_may_own_tables(configuration: configparser.ConfigParser) -> None:
    without = {name for name in configuration.sections() if "environment" in configuration[name]}
    assert without == {"program:console", "program:gateway", "program:beat"}
    assert {configuration[name]["environment"] for name in without} == {'DATABASE_OWNER_URL=""'}


def test_control_socket_is_the_owners(configuration: configparser.ConfigParser) -> None:
    assert configuration["unix_http_server"]["chmod"] == "0700"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
def test_postgresql_never_runs_as_root(tmp_path: Path, instance: Instance) -> None:
    from config import embedded

    program = programs.of_server(embedded.postgres(tmp_path))
    assert "user = pgserver" in supervision.configuration(instance, [program])
