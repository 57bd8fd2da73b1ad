"""One instance with the real engine for all end-to-end tests; it is stopped as a user stops it."""

from collections.abc import Iterator

import pytest

from tests.e2e.running import RunningSignalbox


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSignalbox]:
    running = RunningSignalbox(tmp_path_factory.mktemp("e2e") / "home")
    try:
        took = running.start()
        print(f"\nmake up, everything new: {took:.0f} s")
        yield running
    finally:
        running.stop()


@pytest.fixture
def signalbox(instance: RunningSignalbox) -> RunningSignalbox:
    """The instance, answering: an earlier test may have killed its engine."""
    instance.wait_for_answer(120)
    return instance
