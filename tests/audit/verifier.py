"""The verifier that needs no Signalbox, as an auditor runs it: on the files of an export and with our public key."""

import base64
import subprocess
import sys
from pathlib import Path

from audit.signing import signer

SCRIPT = Path(__file__).parents[2] / "audit" / "standalone" / "verify_audit.py"


def verified(manifest: Path) -> tuple[int, str]:
    """Its exit status and what it says."""
    key = base64.b64encode(signer().public).decode()
    done = subprocess.run(
        [sys.executable, SCRIPT, manifest, "--key", key], capture_output=True, text=True, check=False, cwd="/"
    )
    return done.returncode, (done.stdout + done.stderr).strip()
