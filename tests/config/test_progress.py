import pytest

from config.up import progress


def test_step_tells_begin_and_end(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.step("Boil water"):
        pass
    first, last = capsys.readouterr().out.splitlines()
    assert first == "==> Boil water"
    assert last.startswith("    done in 0.")


def test_same_line_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.step("Boil water") as report:
        report("warming up")
        report("warming up")
    assert capsys.readouterr().out.count("warming up") == 1


def test_failed_step_is_not_called_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(progress.UpError), progress.step("Boil water"):
        raise progress.UpError("the kettle is empty: fill it")
    assert "done" not in capsys.readouterr().out


def test_silence_is_filled_with_the_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = progress._Clock("Boil water")
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock._begun + 42)
    clock.fill_silence()
    clock.fill_silence()
    assert capsys.readouterr().out == "    … 42 s: Boil water\n"


def test_failure_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        progress.fail("port 8000 is taken: set SIGNALBOX_CONSOLE_PORT")
    assert exit_.value.code == 1
    assert capsys.readouterr().err == "signalbox: port 8000 is taken: set SIGNALBOX_CONSOLE_PORT\n"
