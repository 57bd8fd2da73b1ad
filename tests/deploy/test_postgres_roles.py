"""deploy/postgres/roles.sh, run as PostgreSQL's image runs it: two roles, of which one owns and one may not."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from config import embedded
from tests.deploy.compose_file import ROOT

SCRIPT = ROOT / "deploy" / "postgres" / "roles.sh"


@dataclass
class Cluster:
    """A PostgreSQL as the image makes it, with the secrets beside it."""

    socket: str
    secrets: Path

    def run(self) -> subprocess.CompletedProcess[str]:
        path = f"{embedded._postgres_bin()}:{os.environ['PATH']}"
        environment = {
            "PATH": path,
            "PGHOST": self.socket,
            "SECRETS_DIR": str(self.secrets),
            "POSTGRES_USER": "postgres",
        }
        return subprocess.run(["bash", str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)

    def connect(self, file: str, database: str = "signalbox") -> psycopg.Connection:
        """As the URL in that file says, but through the socket."""
        url = (self.secrets / file).read_text().strip()
        return psycopg.connect(url, host=self.socket, dbname=database, autocommit=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A PostgreSQL without roles of ours, as the image makes it; answers with its home."""
    home = tmp_path_factory.mktemp("p")
    server = embedded.postgres(home)
    process = server.start(home / "log")
    try:
        server.wait()
        superuser = f"host={embedded.socket_dir(home) / 'postgres'} user=postgres dbname=postgres"
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute("DROP DATABASE signalbox")
            connection.execute("DROP OWNED BY signalbox, signalbox_owner")
            connection.execute("DROP ROLE signalbox")
            connection.execute("DROP ROLE signalbox_owner")
        yield home
    finally:
        process.send_signal(server.stop_signal)
        process.wait(30)


@pytest.fixture(scope="module")
def cluster(server: Path) -> Cluster:
    made = Cluster(str(embedded.socket_dir(server) / "postgres"), server / "secrets")
    made.secrets.mkdir()
    for file, name in (("database_url", "signalbox"), ("database_owner_url", "signalbox_owner")):
        (made.secrets / file).write_text(f"postgresql://{name}:{secrets.token_hex(32)}@postgres:5432/signalbox\n")
    done = made.run()
    assert done.returncode == 0, done.stderr
    return made


def test_the_owner_owns_the_database_and_its_schema(cluster: Cluster) -> None:
    with cluster.connect("database_owner_url") as owner:
        owner.execute("CREATE TABLE mine (id int)")
        row = owner.execute(
            "SELECT rolsuper, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = user"
        ).fetchone()
    assert row == (False, False, False)


def test_the_processes_own_nothing(cluster: Cluster) -> None:
    with cluster.connect("database_url") as processes:
        row = processes.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = user"
        )
        assert row.fetchone() == (False, False, False, False)
        with pytest.raises(errors.InsufficientPrivilege):
            processes.execute("CREATE TABLE yours (id int)")


def test_passwords_are_those_of_the_urls(cluster: Cluster) -> None:
    with cluster.connect("database_owner_url") as owner:
        assert owner.execute("SELECT current_setting('password_encryption')").fetchone() == ("scram-sha-256",)


def test_without_a_password_it_says_so(cluster: Cluster, tmp_path: Path) -> None:
    for file in ("database_url", "database_owner_url"):
        (tmp_path / file).write_text("postgresql://signalbox@postgres/signalbox\n")
    done = Cluster(cluster.socket, tmp_path).run()
    assert done.returncode == 1
    assert "deploy/make-secrets.sh" in done.stderr
