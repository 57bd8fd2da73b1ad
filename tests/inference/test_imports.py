"""The gateway stays lean: what it imports is part of its contract."""

import subprocess
import sys

SHOW = "import inference.worker, inference.supervisor, sys; print(*sorted({m.partition('.')[0] for m in sys.modules}))"


def test_gateway_imports_neither_django_nor_celery() -> None:
    done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert not imported & {"django", "celery", "rest_framework", "config", "controlplane", "audit", "workers"}
    assert {"uvicorn", "httptools", "msgspec", "psycopg"} <= imported
