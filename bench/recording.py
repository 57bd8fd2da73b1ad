"""What the register costs a request before its first byte: arrivals at a steady pace, with it and without, in turn.

    python -m bench.recording [--pace 1000] [--seconds 10] [--rounds 3]

An intent is durable before the client's first byte. While the engine reads the prompt (prefill) the row is committed
beside it, so the wait shows only where the engine is quicker than the disk. Both gateways run all the time, each with
one worker, and get the same arrivals.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench import contestants
from bench.contestants import Contestant
from bench.limiter import quantile

PREFILLS = (0.0, 0.03)
"""seconds"""
CHUNKS = 4


class Added(NamedTuple):
    """By the register, to the wait for the first byte; milliseconds, medians of the rounds."""

    mode: str
    prefill: float
    """seconds"""
    p50: float
    p99: float
    counted: int
    failures: int


Wait = tuple[float, float]
"""p50 and p99 of one run, milliseconds"""


def compare(
    home: Path, *, pace: float, seconds: float, rounds: int, prefills: Sequence[float] = PREFILLS
) -> list[Added]:
    """Plain and streamed answers, at once and after a prefill."""
    found = []
    with contestants.stores(home) as environment:
        for prefill in prefills:
            with ExitStack() as stack:
                engine = stack.enter_context(contestants.engine(home, chunks=CHUNKS, prefill=prefill))
                pair = [
                    stack.enter_context(contestants.gateway(home, environment, engine.port, module=module))
                    for module in ("inference", "bench.unrecorded")
                ]
                found += [
                    _added(mode, prefill, pair, pace=pace, seconds=seconds, rounds=rounds)
                    for mode in ("plain", "streamed")
                ]
    return found


def _added(mode: str, prefill: float, pair: list[Contestant], *, pace: float, seconds: float, rounds: int) -> Added:
    added: list[Wait] = []
    counted = failures = 0
    for _ in range(rounds):
        waits = []
        for contestant in pair:
            first_byte, failed = _load(contestant, mode, pace, seconds)
            waits.append((quantile(first_byte, 0.5), quantile(first_byte, 0.99)))
            counted, failures = counted + len(first_byte), failures + failed
        (p50, p99), (p50_without, p99_without) = waits
        added.append((p50 - p50_without, p99 - p99_without))
    p50s, p99s = zip(*added, strict=True)
    return Added(mode, prefill, statistics.median(p50s), statistics.median(p99s), counted, failures)


def _load(contestant: Contestant, mode: str, pace: float, seconds: float) -> tuple[list[float], int]:
    argv = [sys.executable, "-m", "bench.arrivals", str(contestant.port), contestant.key]
    argv += ["--pace", str(pace), "--seconds", str(seconds), *(["--stream"] if mode == "streamed" else [])]
    done = subprocess.run(argv, capture_output=True, check=True, cwd=contestants.ROOT)
    result = json.loads(done.stdout)
    return result["first_byte"], result["failures"]


def main() -> None:
    parser = argparse.ArgumentParser(description="What the register costs before the first byte")
    parser.add_argument("--pace", type=float, default=1000, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sbx-recording-") as home:
        Path(home).chmod(0o755)
        found = compare(Path(home), pace=given.pace, seconds=given.seconds, rounds=given.rounds)
    print(f"{given.pace:,.0f} requests a second; what the register adds to the wait for the first byte:\n")
    print("| answers | prefill ms | p50 ms | p99 ms | counted | failed |\n|---|---|---|---|---|---|")
    for one in found:
        cells = f"{1000 * one.prefill:.0f} | {one.p50:.2f} | {one.p99:.2f} | {one.counted:,} | {one.failures}"
        print(f"| {one.mode} | {cells} |")


if __name__ == "__main__":
    main()
