"""`bootstrap_instance`: an empty database gets its first credentials; later runs replace only what is lost."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings

from audit.models import Event
from controlplane.alerting.presets import PRESETS
from controlplane.credentials import read_credentials
from controlplane.models import ApiKey, ManagementToken, Project, User
from controlplane.tokens import digest
from inference.contract import keys
from tests.commands.run import Ran, run

pytestmark = pytest.mark.django_db


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dev" / "credentials.env"


def bootstrap(file: Path) -> dict[str, str]:
    ran = run("bootstrap_instance", "--credentials", str(file))
    assert ran == Ran(f"{file}\n", "", 0)
    return read_credentials(file)


def test_first_run_writes_every_line(file: Path) -> None:
    assert list(bootstrap(file)) == [
        "SIGNALBOX_URL", "SIGNALBOX_GATEWAY_URL", "SIGNALBOX_ADMIN_USER", "SIGNALBOX_ADMIN_PASSWORD",
        "SIGNALBOX_ADMIN_TOKEN", "SIGNALBOX_API_KEY", "SIGNALBOX_MODEL",
    ]  # fmt: skip


def test_file_is_its_owners_only(file: Path) -> None:
    bootstrap(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_credentials_are_true(file: Path) -> None:
    written = bootstrap(file)
    admin = User.objects.get(username=written["SIGNALBOX_ADMIN_USER"])
    assert admin.is_superuser
    assert admin.must_change_password
    assert admin.check_password(written["SIGNALBOX_ADMIN_PASSWORD"])
    assert ManagementToken.objects.get(digest=digest(written["SIGNALBOX_ADMIN_TOKEN"])).user == admin
    parsed = keys.parse(written["SIGNALBOX_API_KEY"])
    assert parsed is not None
    assert ApiKey.objects.get(key_id=parsed.id).project == Project.objects.get(name="default")


def test_everything_made_is_in_the_register(file: Path, events: Callable[[], list[Event]]) -> None:
    bootstrap(file)
    assert [event.operation for event in events()] == [
        *(["alert_rule.created"] * len(PRESETS)), "project.created", "user.created", "token.created", "api_key.created",
    ]  # fmt: skip


def test_second_run_changes_nothing(file: Path, events: Callable[[], list[Event]]) -> None:
    first = bootstrap(file)
    before = len(events())
    assert bootstrap(file) == first
    assert len(events()) == before


def test_lost_file_gets_new_credentials_and_one_time_password(file: Path) -> None:
    first = bootstrap(file)
    file.unlink()
    second = bootstrap(file)
    for line in ("SIGNALBOX_ADMIN_PASSWORD", "SIGNALBOX_ADMIN_TOKEN", "SIGNALBOX_API_KEY"):
        assert second[line]
        assert second[line] != first[line]
    assert User.objects.get(username="admin").check_password(second["SIGNALBOX_ADMIN_PASSWORD"])


def test_changed_password_is_never_replaced(file: Path) -> None:
    bootstrap(file)
    admin = User.objects.get(username="admin")
    admin.set_password("alice's own long password")
    admin.must_change_password = False
    admin.save()
    file.unlink()
    assert bootstrap(file)["SIGNALBOX_ADMIN_PASSWORD"] == ""
    admin.refresh_from_db()
    assert admin.check_password("alice's own long password")


def test_revoked_key_is_replaced(file: Path) -> None:
    first = bootstrap(file)
    ApiKey.objects.update(revoked_at="2026-01-01T00:00:00Z")
    second = bootstrap(file)
    assert second["SIGNALBOX_API_KEY"] != first["SIGNALBOX_API_KEY"]
    assert second["SIGNALBOX_ADMIN_TOKEN"] == first["SIGNALBOX_ADMIN_TOKEN"]


def test_another_port_rewrites_only_the_addresses(file: Path) -> None:
    first = bootstrap(file)
    with override_settings(CONSOLE_URL="http://127.0.0.1:9999"):
        second = bootstrap(file)
    assert second == first | {"SIGNALBOX_URL": "http://127.0.0.1:9999"}
    assert second["SIGNALBOX_GATEWAY_URL"] == settings.GATEWAY_URL


def test_file_of_another_database_is_renewed(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("SIGNALBOX_ADMIN_PASSWORD=old\nSIGNALBOX_ADMIN_TOKEN=sbm_old\nSIGNALBOX_API_KEY=sbx_old\nbroken\n")
    written = bootstrap(file)
    assert User.objects.get(username="admin").check_password(written["SIGNALBOX_ADMIN_PASSWORD"])


def test_other_superusers_leave_admin_alone(file: Path, alice_user: User) -> None:
    written = bootstrap(file)
    assert written["SIGNALBOX_ADMIN_USER"] == written["SIGNALBOX_ADMIN_TOKEN"] == ""
    assert not User.objects.filter(username="admin").exists()
    assert alice_user.management_tokens.count() == 0


def test_unwritable_place_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = run("bootstrap_instance", "--credentials", str(tmp_path / "file" / "credentials.env"))
    assert ran.status == 1
    assert "\n" not in ran.err
    assert not User.objects.exists()
