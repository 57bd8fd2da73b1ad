"""F5: memory after 1,000,000 requests is that after 100,000, to a twentieth."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from bench import contestants
from tests.proofs.proof import Proof

FIRST, LAST = 100_000, 1_000_000
BURST_SECONDS = 10


def burst(port: int, key: str, *, stream: bool) -> int:
    """Load for a while; answers how many requests were answered, the warm-up's share included."""
    argv = [sys.executable, "-m", "bench.load", str(port), key, "--clients", "32", "--seconds", str(BURST_SECONDS)]
    told = json.loads(
        subprocess.run([*argv, *(["--stream"] if stream else [])], check=True, capture_output=True).stdout
    )
    assert told["failures"] == 0
    return int(told["answers"])


def memory(pid: int) -> int:
    """Of all the gateway's processes, in bytes, what each shares with nobody."""
    gateway = psutil.Process(pid)
    return sum(process.memory_full_info().uss for process in (gateway, *gateway.children(recursive=True)))


@pytest.mark.proof("F5", seconds=1500, small=False)
def test_memory_stays(proof: Proof) -> None:
    with tempfile.TemporaryDirectory(prefix="sbx-f5-") as name:
        home = Path(name)
        home.chmod(0o755)  # PostgreSQL runs as somebody else
        with (
            contestants.stores(home) as environment,
            contestants.engine(home) as engine,
            contestants.gateway(home, environment, engine.port) as gateway,
        ):
            count, rounds, early = 0, 0, 0
            while count < LAST and not proof.is_over(f"{count:,} of {LAST:,}"):
                count += burst(gateway.port, gateway.key, stream=rounds % 8 == 7)
                rounds += 1
                if not early and count >= FIRST:
                    early = memory(gateway.pid or 0)
            late = memory(gateway.pid or 0)
    proof.show(
        "memory of the gateway against that after 100,000 requests, every eighth burst streamed", counted=count,
        bar="≤ 1.05 ×", measured=f"{late / early:.3f} × {early / 2**20:.0f} MiB", held=late <= 1.05 * early,
    )  # fmt: skip
