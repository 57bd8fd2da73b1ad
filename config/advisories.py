"""Known weaknesses of the pinned packages: ``make audit``. Says clearly when no advisory source could be asked.

pip-audit is fetched for this run only; it and its two dozen packages are no part of a developer's environment.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from config.env import ROOT
from workers.engines.uv import pip_settings_for_uv

PIP_AUDIT = "pip-audit~=2.10"
LOCKS = ("requirements.lock", "requirements-dev.lock")
SECONDS = 600


class Audit(NamedTuple):
    """Of one lock: packages that were looked up, those that could not be, and a line for each weakness."""

    known: list[str]
    unknown: list[str]
    weak: list[str]


def main() -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    weak = False
    for lock in LOCKS:
        found = read(_ask(uv, lock))
        if not found.known:
            sys.exit(f"signalbox: {lock} was NOT audited: no advisory source can be reached from here.")
        print(f"{lock}: {len(found.known)} packages looked up, {len(found.weak)} known weaknesses")
        for line in (*found.weak, *(f"not looked up: {name}" for name in found.unknown)):
            print(f"  {line}")
        weak = weak or bool(found.weak)
    sys.exit(1 if weak else 0)


def read(report: dict[str, Any]) -> Audit:
    """pip-audit's JSON. What it skipped it knows nothing about, which is not the same as being well."""
    audit = Audit([], [], [])
    for package in report.get("dependencies", []):
        name = f"{package['name']} {package.get('version', '')}".strip()
        (audit.unknown if "skip_reason" in package else audit.known).append(name)
        for weakness in package.get("vulns", []):
            fixed = ", ".join(weakness.get("fix_versions", [])) or "no version yet"
            audit.weak.append(f"{name}: {weakness['id']} (mended in {fixed})")
    return audit


def _ask(uv: str, lock: str) -> dict[str, Any]:
    argv = [
        uv, "tool", "run", "--quiet", "--from", PIP_AUDIT, "pip-audit", "--requirement", lock, "--disable-pip",
        "--no-deps", "--format", "json", "--progress-spinner", "off", "--timeout", "15",
    ]  # fmt: skip
    env = os.environ | pip_settings_for_uv()
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        words = done.stderr.strip().splitlines() or ["no message"]
        sys.exit(f"signalbox: {lock} was NOT audited: {words[-1][:300]}")
    return report


if __name__ == "__main__":
    main()
