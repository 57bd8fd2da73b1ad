"""pip's settings in uv's words."""

import pytest

from workers.engines import uv


def test_each_setting_has_its_word() -> None:
    pip = {
        "index-url": "https://mirror.example", "extra-index-url": "file:///a  file:///b", "find-links": "/wheels",
        "cert": "/ca.pem", "trusted-host": "mirror.example", "no-index": "true",
    }  # fmt: skip
    assert uv.as_uv(pip) == {
        "UV_NO_PROGRESS": "1", "UV_DEFAULT_INDEX": "https://mirror.example", "UV_INDEX": "file:///a file:///b",
        "UV_INDEX_STRATEGY": "unsafe-best-match", "UV_FIND_LINKS": "/wheels", "SSL_CERT_FILE": "/ca.pem",
        "UV_INSECURE_HOST": "mirror.example", "UV_NO_INDEX": "1",
    }  # fmt: skip


def test_nothing_is_said_for_nothing() -> None:
    assert uv.as_uv({}) == {"UV_NO_PROGRESS": "1"}


def test_environment_overrules_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv, "_pip_config", lambda: "global.index-url='https://a.example'\nfreeze.all='1'\nnonsense\n")
    assert uv.pip_settings()["index-url"] == "https://a.example"
    monkeypatch.setenv("PIP_INDEX_URL", "https://b.example")
    assert uv.pip_settings()["index-url"] == "https://b.example"


def test_what_is_set_for_uv_itself_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://b.example")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine.example")
    assert "UV_DEFAULT_INDEX" not in uv.pip_settings_for_uv()


def test_pip_is_asked() -> None:
    assert isinstance(uv.pip_settings(), dict)
