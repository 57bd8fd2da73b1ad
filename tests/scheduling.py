"""Which tests share a worker of pytest-xdist: all that start engines share one, all proofs another.

So no two instances with a vLLM run at once, and no two proofs; one group of both would be longer than everything else
together. xdist's own groups (``--dist loadgroup``) write into names of tests that pytest 9.2 no longer reads.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/e2e/", "tests/proofs/")


def scope_of(test: str) -> str:
    """Tests of one scope go to one worker, in the order of their collection; the largest scopes go first."""
    return next((part for part in TOGETHER if test.startswith(part)), test)


class ByPart(LoadScopeScheduling):  # type: ignore[misc]
    """Every test for itself, but for those that go together."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByPart:
    """Called by pytest-xdist where there are workers."""
    return ByPart(config, log)
