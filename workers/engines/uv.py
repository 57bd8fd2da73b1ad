"""Calling uv with the package sources that this machine's pip is set up with. Stdlib only: used before any install.

uv reads none of pip's settings, and its own resolver stops at the first index that knows a name; pip asks all of them.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_ANY_INDEX = "unsafe-best-match"  # pip's behaviour; safe here, because every package is checked against a locked hash


def pip_settings() -> dict[str, str]:
    """What ``pip config list`` knows, by bare option name; environment variables win. Empty without pip."""
    found: dict[str, str] = {}
    for line in _pip_config().splitlines():
        name, separator, value = line.partition("=")
        if separator and name.startswith(("global.", "install.")):
            found[name.split(".", 1)[1]] = value.strip().strip("'\"")
    for name in ("index-url", "extra-index-url", "find-links", "cert", "trusted-host", "no-index"):
        if given := os.environ.get("PIP_" + name.upper().replace("-", "_")):
            found[name] = given
    return found


def _pip_config() -> str:
    """The base interpreter's pip: a virtual environment made by uv has none."""
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    argv = [str(python if python.exists() else sys.executable), "-m", "pip", "config", "list"]
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def pip_settings_for_uv() -> dict[str, str]:
    """The UV_* variables to add to the environment of uv. Whatever is set for uv itself is left alone."""
    return {name: value for name, value in as_uv(pip_settings()).items() if name not in os.environ}


def as_uv(pip: Mapping[str, str]) -> dict[str, str]:
    """pip's settings in uv's words."""
    said = {"UV_NO_PROGRESS": "1"}
    if "index-url" in pip:
        said["UV_DEFAULT_INDEX"] = pip["index-url"]
    if "extra-index-url" in pip:
        said["UV_INDEX"] = " ".join(pip["extra-index-url"].split())
        said["UV_INDEX_STRATEGY"] = _ANY_INDEX
    if "find-links" in pip:
        said["UV_FIND_LINKS"] = ",".join(pip["find-links"].split())
    if "cert" in pip:
        said["SSL_CERT_FILE"] = pip["cert"]
    if "trusted-host" in pip:
        said["UV_INSECURE_HOST"] = " ".join(pip["trusted-host"].split())
    if pip.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        said["UV_NO_INDEX"] = "1"
    return said
