import os
from pathlib import Path

import pytest

from config import env
from config.up.instance import Instance, claim, settle_environment, write_instance_file, write_private
from config.up.progress import UpError


def instance(home: Path) -> Instance:
    return Instance(home, "127.0.0.1", 8000, 8080, 9108, gateway_workers=2, with_engine=False)


def test_missing_directory_is_made(tmp_path: Path) -> None:
    os.close(claim(instance(tmp_path / "var")))
    assert (tmp_path / "var" / "logs").is_dir()
    assert (tmp_path / "var" / "dev").stat().st_mode & 0o777 == 0o700


def test_own_directory_is_recognised(tmp_path: Path) -> None:
    for _ in range(2):
        os.close(claim(instance(tmp_path / "var")))


def test_foreign_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UpError, match="not Signalbox's.*SIGNALBOX_HOME"):
        claim(instance(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_second_run_on_one_directory_is_refused(tmp_path: Path) -> None:
    lock = claim(instance(tmp_path))
    with pytest.raises(UpError, match="another `make up` runs"):
        claim(instance(tmp_path))
    os.close(lock)


def test_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    with pytest.raises(UpError, match="cannot be used"):
        claim(instance(tmp_path / "var"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    os.close(claim(instance(tmp_path)))
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(UpError, match="belongs to user id 12345"):
        claim(instance(tmp_path))


def test_private_file_is_private_and_whole(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", "x")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["secret"]


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of an instance whose environment was settled, with nothing set by the user."""
    monkeypatch.setattr(os, "environ", {"SIGNALBOX_HOME": str(tmp_path)})
    os.close(claim(instance(tmp_path)))
    settle_environment(instance(tmp_path))
    return tmp_path / "dev"


def test_missing_secrets_are_made(settled: Path) -> None:
    for name, file in (("SIGNALBOX_MASTER_KEY", "master_key"), ("SIGNALBOX_JWT_KEY", "jwt_key")):
        assert os.environ[f"{name}_FILE"] == str(settled / file)
        assert (settled / file).stat().st_mode & 0o777 == 0o600
        assert len(env.key(name)) == 32
    assert env.secret("SECRET_KEY")


def test_secrets_stay_what_they_are(settled: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_text() for path in settled.iterdir()}
    settle_environment(instance(tmp_path))
    assert {path.name: path.read_text() for path in settled.iterdir()} == before


def test_secret_of_the_user_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"SIGNALBOX_HOME": str(tmp_path), "SIGNALBOX_MASTER_KEY": "mine"})
    os.close(claim(instance(tmp_path)))
    settle_environment(instance(tmp_path))
    assert not (tmp_path / "dev" / "master_key").exists()
    assert "SIGNALBOX_MASTER_KEY_FILE" not in os.environ


def test_previous_key_is_used_while_it_is_there(settled: Path, tmp_path: Path) -> None:
    assert env.optional_key("SIGNALBOX_MASTER_KEY_PREVIOUS") is None
    (settled / "master_key").rename(settled / "master_key_previous")
    del os.environ["SIGNALBOX_MASTER_KEY_FILE"]
    settle_environment(instance(tmp_path))
    write_instance_file(instance(tmp_path))
    assert env.optional_key("SIGNALBOX_MASTER_KEY_PREVIOUS") != env.key("SIGNALBOX_MASTER_KEY")
    assert "SIGNALBOX_MASTER_KEY_PREVIOUS_FILE=" in env.instance_file().read_text()
