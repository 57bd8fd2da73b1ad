"""The register at its full speed: ``python -m bench.register [ROWS] [SECONDS]``, in a database of its own.

Three figures: rows that the gateway's COPY brings in (15,000 a second are asked for) while the sealer works beside it;
how long a row then waits for its seal (p99, at most 3 s); how long verifying all of it takes (1,000,000 rows: 10 s).
"""
# ruff: noqa: PLC0415 - Django is set up on a database that does not exist before

import base64
import multiprocessing
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BATCH = 500
ASKED = 15_000


def fill(url: str, rows: int, seconds: float) -> None:
    """Rows as two gateways write them, spread over `seconds`."""
    import psycopg

    from inference.accounting import Caller, Result, _outcome_template
    from inference.contract.events import (
        COPY_STATEMENT,
        pack_bytes,
        pack_copy,
        pack_id,
        pack_instants,
        pack_int4s,
        pack_int8,
        pack_json,
        pack_text,
    )
    from inference.contract.ids import uuid7_bytes

    writers = [f"bench/{os.getpid()}/{number}" for number in range(2)]
    with psycopg.connect(url, autocommit=True) as connection:
        began = time.monotonic()
        for first in range(0, rows, BATCH):
            writer = writers[first // BATCH % 2]
            batch = []
            for number in range(first, first + BATCH):
                caller = Caller(writer, "inference.chat", f"team-{number % 20}", f"k{number % 500:07d}", "a key", "key",
                                f"chat-{number % 10}", "10.0.0.1", "openai/2.0")  # fmt: skip
                now = time.time_ns() // 1000
                digest = pack_bytes(secrets.token_bytes(32))
                detail = pack_json({"attempts": 1, "deployment": "d", "routing": "weight"})
                rest = b"".join((detail, digest, digest, pack_int4s(12, 34)))
                sequence = first // BATCH // 2 * BATCH + number - first + 1
                template = _outcome_template(caller, Result("chat-0", "chat:v1", "ok", 200))
                batch.append(
                    template.pack(
                        pack_id(uuid7_bytes()), pack_text(secrets.token_hex(16)) + pack_id(None), pack_int8(sequence),
                        pack_instants(now, now - 1000, now), rest,
                    )
                )  # fmt: skip
            with connection.cursor() as cursor, cursor.copy(COPY_STATEMENT) as copy:
                copy.write(pack_copy(batch))
            ahead = (first + BATCH) / rows * seconds - (time.monotonic() - began)
            if ahead > 0:
                time.sleep(ahead)


def prepare(home: Path) -> Any:
    """PostgreSQL with the register in it, and this process's Django on it."""
    from config import embedded

    os.environ["SIGNALBOX_HOME"] = str(home)
    os.environ["SECRET_KEY"] = secrets.token_urlsafe(48)
    os.environ["REDIS_URL"] = "unix:///nowhere"
    for name in ("SIGNALBOX_MASTER_KEY", "SIGNALBOX_JWT_KEY", "SIGNALBOX_SEAL_KEY"):
        os.environ[name] = base64.b64encode(secrets.token_bytes(32)).decode()
    server = embedded.postgres(home)
    process = server.start(home / "log")
    server.wait()
    os.environ.update(server.environment)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], check=True)
    import django

    django.setup()
    from controlplane.access import scope

    scope.see_all()
    return process


def main(rows: int, seconds: float) -> None:
    home = Path(tempfile.mkdtemp(prefix="sbx-bench-"))
    process = prepare(home)
    try:
        measure(rows, seconds)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def measure(rows: int, seconds: float) -> None:
    from django.utils import timezone

    from audit.models import Seal
    from audit.verifying import verify
    from workers.sealing import Loop

    loop = Loop()
    sealing = threading.Thread(target=loop.run)
    sealing.start()
    arguments = (os.environ["DATABASE_URL"], rows, seconds)
    writing = multiprocessing.get_context("spawn").Process(target=fill, args=arguments)
    began = time.monotonic()
    writing.start()
    writing.join()
    took = time.monotonic() - began
    while (last := Seal.objects.first()) is None or last.total < rows:
        time.sleep(0.1)
    lags = sorted((seal.sealed_at - seal.first_at).total_seconds() for seal in Seal.objects.exclude(first_at=None))
    loop.stop()
    sealing.join()
    p99 = lags[min(len(lags) - 1, int(len(lags) * 0.99))]
    print(
        f"ingest: {rows:,} rows in {took:.1f} s, {rows / took:,.0f} rows/s with the sealer beside it (bar: {ASKED:,})"
    )
    print(
        f"sealing: {len(lags)} seals; the oldest row of each waited {lags[len(lags) // 2]:.2f} s at p50,"
        f" {p99:.2f} s at p99 (bar: 3)"
    )
    began = time.monotonic()
    report = verify(timezone.now())
    took = time.monotonic() - began
    print(f"verify: {report.rows:,} rows and {report.seals} seals in {took:.1f} s (bar: 10 s for 1,000,000), "
          f"{len(report.failures)} false alarms")  # fmt: skip
    print(f"measured {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores")


if __name__ == "__main__":
    words = [float(word) for word in sys.argv[1:]]
    count = int(words[0]) if words else 1_000_000
    main(count, words[1] if len(words) > 1 else count / 16_000)
