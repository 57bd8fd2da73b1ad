"""One instance with the real engine for all end-to-end tests; it is stopped as a user stops it."""

import tempfile
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import figures
from tests.e2e.running import RunningSignalbox


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure tells what became of the engine meanwhile: most that goes wrong here goes through it."""
    report = yield
    running = getattr(item, "funcargs", {}).get("signalbox")
    if report.failed and running is not None:
        with suppress(Exception):
            lines = (f"{one['at']} {one['new_state']}: {one['reason']} {one['message']}" for one in running.history())
            report.sections.append(("replica", "\n".join(lines)))
    return report


@pytest.fixture
def fresh_home() -> Iterator[Path]:
    """For one more instance. Not in pytest's own directory: a pytest that starts meanwhile closes that to others."""
    with tempfile.TemporaryDirectory(prefix="sbx-e2e-") as path:
        yield Path(path) / "home"


@pytest.fixture(scope="session")
def instance() -> Iterator[RunningSignalbox]:
    directory = tempfile.TemporaryDirectory(prefix="sbx-e2e-")
    running = RunningSignalbox(Path(directory.name) / "home")
    try:
        took = running.start()
        figures.tell(f"make up to the first answer, everything new: {took:.0f} s")
        yield running
    finally:
        running.stop()
        directory.cleanup()


@pytest.fixture
def signalbox(instance: RunningSignalbox) -> RunningSignalbox:
    """The instance, answering: an earlier test may have killed any of its processes."""
    instance.wait_for_answer(120)
    instance.wait_for_console(60)
    return instance
