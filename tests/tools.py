"""Programs of the system that some tests need and not everybody has."""

import os
import shutil

import pytest


def needed(program: str, package: str) -> str:
    """Its path. Without it the test is skipped, but with SIGNALBOX_TESTS_NEVER_SKIP, as in CI, it fails."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found:
        return found
    how = f"no {program}: install your system's {package} package"
    if os.environ.get("SIGNALBOX_TESTS_NEVER_SKIP"):
        pytest.fail(how)
    pytest.skip(how)
