"""Proofs of the promises: ``make test`` runs them with small counts, ``make soak`` with the full ones and a table.

@pytest.mark.proof("L4", seconds=120)
async def test_...(proof: Proof) -> None: ...
"""

import platform
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.inference.conftest import *  # noqa: F403 - the fixtures of a running gateway
from tests.inference.limits.conftest import shared_valkey, valkey  # noqa: F401 - a Redis that may be killed
from tests.nginx import nginx_for, tls  # noqa: F401 - nginx in front of it
from tests.proofs.proof import Proof, Row, table

HERE = Path(__file__).parent
RESULT = HERE.parents[1] / "bench" / "results" / "soak.md"
AFTER_ITS_BOUND = 180
"""seconds that a proof may take to start, to finish its round and to clean up before it is broken off"""
ROWS: list[Row] = []
_PROOF = pytest.StashKey[Proof]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="the full counts of the promises")
    parser.addoption("--only", default="", help="promises to prove: L1,F3")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not asked for, and what cannot be proven with a small count."""
    soak = config.getoption("--soak", default=False)
    marked = {item: marker for item in items if (marker := item.get_closest_marker("proof"))}
    left_out = [item for item, marker in marked.items() if not soak and not marker.kwargs.get("small", True)]
    if soak:
        left_out = _not_asked_for(config.getoption("--only"), {item: mark.args[0] for item, mark in marked.items()})
        for item, marker in marked.items():
            item.add_marker(pytest.mark.timeout(marker.kwargs["seconds"] + AFTER_ITS_BOUND))
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _not_asked_for(only: str, promises: dict[pytest.Item, str]) -> list[pytest.Item]:
    wanted = {name.strip().upper() for name in only.split(",") if name.strip()}
    if unknown := wanted - set(promises.values()):
        there_are = ", ".join(sorted(set(promises.values())))
        raise pytest.UsageError(f"no proof of {', '.join(sorted(unknown))}; there are {there_are}")
    return [item for item, promise in promises.items() if wanted and promise not in wanted]


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Iterator[Proof]:
    """The proof that this test is marked as."""
    marker = request.node.get_closest_marker("proof")
    soak = request.config.getoption("--soak", default=False)
    made = Proof(marker.args[0], marker.kwargs["seconds"], soak=soak)
    request.node.stash[_PROOF] = made
    yield made
    ROWS.extend(made.rows)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A test whose rows do not all hold has failed, however it went on."""
    yield
    if _PROOF in item.stash and (broken := item.stash[_PROOF].broken):
        pytest.fail("; ".join(broken), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A proof that could not be brought to its end stands in the table too."""
    report = yield
    marker = item.get_closest_marker("proof")
    if marker and report.failed and not (_PROOF in item.stash and item.stash[_PROOF].broken) and call.excinfo:
        ROWS.append(Row(marker.args[0], item.name, "", "", f"{report.when}: {call.excinfo.typename}", held=False))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # of pytest-xdist
        session.config.workeroutput["rows"] = [tuple(row) for row in ROWS]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The table stands once, in the output of the process that started the workers."""
    ROWS.extend(Row(*cells) for cells in node.workeroutput.get("rows", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not ROWS:
        return
    soak = config.getoption("--soak", default=False)
    machine = f"{time.strftime('%Y-%m-%d')}, {psutil.cpu_count()} cores, Python {platform.python_version()}"
    text = f"{machine}, load average before and after: {_BEFORE:.1f}, {psutil.getloadavg()[0]:.1f}\n\n{table(ROWS)}"
    terminalreporter.section("promises, full counts" if soak else "promises, small counts")
    terminalreporter.write_line(text)
    if soak and not config.getoption("--only") and [Path(path).resolve() for path in config.args] == [HERE]:
        RESULT.write_text(f"# The promises\n\n`make soak`. {text}")
        terminalreporter.write_line(f"written to {RESULT.relative_to(Path.cwd())}")


_BEFORE = psutil.getloadavg()[0]
