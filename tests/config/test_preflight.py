import dataclasses
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.up import preflight
from config.up.instance import Instance
from config.up.progress import UpError


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    console, gateway, metrics = free_ports(3)
    return Instance(tmp_path, "127.0.0.1", console, gateway, metrics, gateway_workers=2, with_engine=True)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def test_free_ports_pass(instance: Instance) -> None:
    preflight.check_ports(instance)


def test_taken_port_is_named_with_its_variable(instance: Instance, taken: int) -> None:
    with pytest.raises(UpError, match=rf"port {taken} .*another program.*SIGNALBOX_GATEWAY_PORT"):
        preflight.check_ports(dataclasses.replace(instance, gateway_port=taken))


def test_one_port_cannot_serve_two(instance: Instance) -> None:
    with pytest.raises(UpError, match="three different ports"):
        preflight.check_ports(dataclasses.replace(instance, gateway_port=instance.console_port))


def test_full_disk_is_said_before_anything_is_written(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(instance.home)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: usage._replace(free=preflight.GIB))
    with pytest.raises(UpError, match=r"only 1\.0 GiB are free.*8\.0 GiB are needed"):
        preflight.check_disk(instance)


def test_built_engine_needs_less_disk(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    (instance.engines / "vllm-cpu").mkdir(parents=True)
    usage = shutil.disk_usage(instance.home)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: usage._replace(free=preflight.GIB))
    preflight.check_disk(instance)


def test_too_little_memory_names_the_way_out(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "memory_available", lambda: preflight.GIB)
    with pytest.raises(UpError, match=r"only 1\.0 GiB of memory.*ENGINE=none"):
        preflight.check_memory(instance)


def test_no_engine_needs_no_memory_for_it(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "memory_available", lambda: 0)
    preflight.check_memory(dataclasses.replace(instance, with_engine=False))
