"""docker-compose.yml: valid, pinned, no secret in it, each service as small in its rights as it can be."""

import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import yaml

from tests.deploy.compose_file import COMPOSE, FILE, OURS, ROOT, SERVICES
from tests.tools import needed

EACH = pytest.mark.parametrize("name", sorted(SERVICES))
EACH_OF_OURS = pytest.mark.parametrize("name", OURS)
WANTED = {"console", "gateway", "worker", "beat", "migrate", "postgres", "valkey", "nginx", "prometheus"}
ONE_SHOT = {"migrate"}
PINNED = re.compile(r"[a-z0-9/-]+:\d+(\.\d+)*(-[a-z]+)?|prom/prometheus:v\d+\.\d+\.\d+")
OF_DOCKER = {"IMAGE_TAG", "CONSOLE_HTTPS_PORT", "GATEWAY_HTTPS_PORT"}


def test_the_specifications_schema_takes_it() -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [program, "--builtin-schema", "vendor.compose-spec", FILE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_finds_mistakes(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(FILE.read_text().replace("    cap_drop:", "    cap_drops:", 1))
    done = subprocess.run([program, "--builtin-schema", "vendor.compose-spec", wrong], capture_output=True, check=False)
    assert done.returncode == 1


def test_docker_compose_reads_it() -> None:
    """Debian's docker-compose resolves all of it: anchors, variables, profiles."""
    program = needed("docker-compose", "docker-compose")
    argv = [program, "-f", str(FILE), "--profile", "prometheus", "config"]
    environment = {"PATH": os.environ["PATH"], "ALLOWED_HOSTS": "console.corp.example"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    resolved = yaml.safe_load(done.stdout)["services"]
    assert set(resolved) == WANTED
    assert resolved["console"]["environment"]["ALLOWED_HOSTS"] == "console.corp.example,127.0.0.1,console"
    assert resolved["gateway"]["image"] == "signalbox:0.1.0"


def test_all_services_are_there() -> None:
    assert set(SERVICES) == WANTED
    assert SERVICES["prometheus"]["profiles"] == ["prometheus"]


@EACH
def test_images_are_pinned_by_version_and_name_no_registry(name: str) -> None:
    image = SERVICES[name]["image"].replace("${IMAGE_TAG:-0.1.0}", "0.1.0")
    assert PINNED.fullmatch(image), image


@EACH
def test_each_service_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check == {"disable": True} if name in ONE_SHOT else check["test"][0] == "CMD"


@EACH
def test_rights_are_dropped(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert bool(service.get("cap_add")) == (name == "postgres")
    assert all("docker.sock" not in str(volume) for volume in service.get("volumes", []))


def test_only_nginx_is_reached_from_outside() -> None:
    """The operator's port, PostgreSQL, Valkey and the processes themselves are not published."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"nginx", "prometheus"}
    assert published["prometheus"] == ["127.0.0.1:9090:9090"]
    assert COMPOSE["networks"]["data"]["internal"] is True
    for name in ("postgres", "valkey"):
        assert SERVICES[name]["networks"] == ["data"]
    assert "data" not in SERVICES["nginx"]["networks"]


def test_nginx_alone_is_believed() -> None:
    address = SERVICES["nginx"]["networks"]["services"]["ipv4_address"]
    for name in OURS:
        assert SERVICES[name]["environment"]["SIGNALBOX_TRUSTED_PROXIES"] == address
        assert "SIGNALBOX_BEHIND_PROXY" not in SERVICES[name]["environment"]


@EACH_OF_OURS
def test_each_variable_is_documented(name: str) -> None:
    told = (ROOT / "docs" / "configuration.md").read_text()
    for variable in SERVICES[name]["environment"]:
        assert f"`{variable.removesuffix('_FILE')}`" in told or f"`{variable}`" in told, variable


def test_each_interpolated_variable_is_in_the_guide() -> None:
    told = (ROOT / "docs" / "compose.md").read_text()
    for variable in set(re.findall(r"\$\{([A-Z_]+)", FILE.read_text())):
        assert f"`{variable}`" in told, variable


@EACH
def test_secrets_come_by_file_and_exist(name: str) -> None:
    service = SERVICES[name]
    environment = service.get("environment", {})
    files = {value.rsplit("/", 1)[1] for variable, value in environment.items() if variable.endswith("_FILE")}
    assert files <= set(service.get("secrets", []))
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    secret = {variable for variable in environment if re.search(r"PASSWORD|SECRET|TOKEN|_KEY|_URL", variable)}
    assert all(variable.endswith("_FILE") for variable in secret - {"SIGNALBOX_URL", "SIGNALBOX_GATEWAY_URL"})


def test_each_process_gets_only_its_secrets() -> None:
    assert set(SERVICES["gateway"]["secrets"]) == {"database_url", "redis_url", "secret_key"}
    owners = {name for name, service in SERVICES.items() if "database_owner_url" in service.get("secrets", [])}
    assert owners == {"postgres", "migrate", "worker"}
    for name in ("nginx", "prometheus"):
        assert "secrets" not in SERVICES[name]


def test_what_is_mounted_lies_here() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./deploy/secrets"):
                continue
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"], (name, volume)


def test_migrations_come_first() -> None:
    assert set(SERVICES["migrate"]["depends_on"]) == {"postgres", "valkey"}
    for name in set(OURS) - {"migrate"}:
        assert SERVICES[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_streams_may_end() -> None:
    """Docker kills later than the gateway cuts, and nginx outlives both."""

    def seconds(name: str) -> int:
        return int(SERVICES[name]["stop_grace_period"].removesuffix("s"))

    drain = int(SERVICES["gateway"]["environment"]["SIGNALBOX_GATEWAY_DRAIN_SECONDS"])
    assert drain < seconds("gateway") < seconds("nginx")
    assert SERVICES["nginx"]["stop_signal"] == "SIGQUIT"


def test_prometheus_asks_the_containers() -> None:
    """The same jobs as on one machine, because rules and dashboard know them by name; the real promtool reads it."""
    directory = ROOT / "deploy" / "prometheus"
    done = subprocess.run(
        [needed("promtool", "prometheus"), "check", "config", directory / "compose.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    here, there = (yaml.safe_load((directory / name).read_text()) for name in ("compose.yml", "prometheus.yml"))
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in here["scrape_configs"]}
    assert list(jobs) == [job["job_name"] for job in there["scrape_configs"]]
    for target in chain.from_iterable(jobs.values()):
        assert target.split(":")[0] in SERVICES
    assert f"/etc/prometheus/{directory.joinpath('compose.yml').name}" in SERVICES["prometheus"]["command"][0]
