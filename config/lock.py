"""Pin every package anew, by hash: ``make lock``. Names, versions and hashes only; no file names an index."""

import subprocess
import sys
from pathlib import Path

from config.env import ROOT

COMPILE = (
    "pip", "compile", "pyproject.toml", "--python-version", "3.11", "--universal", "--generate-hashes",
    "--no-header", "--no-emit-index-url", "--no-annotate", "--quiet", "--upgrade",
)  # fmt: skip


def main() -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, *COMPILE, "-o", "requirements.lock"], cwd=ROOT, check=True)
    subprocess.run(
        [uv, *COMPILE, "--group", "dev", "-c", "requirements.lock", "-o", "requirements-dev.lock"], cwd=ROOT, check=True
    )


if __name__ == "__main__":
    main()
