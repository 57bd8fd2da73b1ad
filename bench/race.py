"""The race of `make bench`: the gateway with all its features against nginx that only forwards, in one run.

    python -m bench.race [--seconds 3] [--rounds 3]

Only the ratios mean something: both are measured in turn on the same machine, with the same engine and the same load.
CPU is that of the contestant's own processes, which other work on the machine disturbs far less than its throughput.
"""

import argparse
import contextlib
import json
import platform
import select
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import chart, contestants, load
from bench.contestants import Contestant

RESULTS = Path(__file__).parent / "results"
STREAMS = 1000


@dataclass
class Figures:
    """What was measured of one contestant; one value a round."""

    answers: list[float] = field(default_factory=list)
    """a second"""
    work: list[float] = field(default_factory=list)
    """what counts: answers a second, or chunks a second when streamed"""
    cpu: list[float] = field(default_factory=list)
    """microseconds an answer"""
    waits: list[float] = field(default_factory=list)
    failures: int = 0

    def quantile(self, q: float) -> float:
        """Of the waits, in milliseconds."""
        ordered = sorted(self.waits)
        return 1000 * ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


Table = dict[tuple[str, str, int], Figures]
"""by contestant, ``plain`` or ``streamed``, and number of clients"""


def measure(contestant: Contestant, mode: str, clients: int, seconds: float, figures: Figures) -> None:
    """One run of the load in a process of its own."""
    argv = [sys.executable, "-m", "bench.load", str(contestant.port), contestant.key]
    argv += ["--clients", str(clients), "--seconds", str(seconds), *(["--stream"] if mode == "streamed" else [])]
    before = contestant.cpu()
    done = subprocess.run(argv, capture_output=True, check=True, cwd=contestants.ROOT)
    used = contestant.cpu() - before
    result = load.Result(**json.loads(done.stdout))
    figures.answers.append(result.answers / result.seconds)
    figures.work.append((result.chunks if mode == "streamed" else result.answers) / result.seconds)
    # The warm-up costs CPU as well; its answers are not counted, so they are estimated from the same pace.
    whole = result.answers * (1 + load.WARM / result.seconds)
    figures.cpu.append(1e6 * used / whole if whole else 0.0)
    figures.waits += result.waits
    figures.failures += result.failures


def memory_per_stream(contestant: Contestant, streams: int = STREAMS) -> float:
    """KiB that each of so many open, silent streams costs; the engine must be one that holds them."""
    before, message = contestant.memory(), load.request(contestant.port, contestant.key, stream=True)
    with contextlib.ExitStack() as stack:
        poll, waiting = select.poll(), set()
        for _ in range(streams):
            sock = stack.enter_context(contextlib.closing(load.connect(contestant.port)))
            sock.sendall(message)
            poll.register(sock, select.POLLIN)
            waiting.add(sock.fileno())
        deadline = time.monotonic() + 20
        while waiting and time.monotonic() < deadline:
            for number, _ in poll.poll(1000):
                waiting.discard(number)
                poll.unregister(number)
        if waiting:
            sys.exit(f"{len(waiting)} of {streams} streams did not begin")
        return (contestant.memory() - before) / streams / 1024


def race(home: Path, seconds: float, rounds: int) -> tuple[Table, dict[str, float]]:
    """All measurements."""
    table: Table = {}
    memory: dict[str, float] = {}
    with contestants.stores(home) as environment:
        with (
            contestants.engine(home) as engine,
            contestants.nginx(home, engine.port) as nginx,
            contestants.gateway(home, environment, engine.port) as gateway,
        ):
            for number in range(rounds):
                for mode, clients, who in _runs(engine, nginx, gateway):
                    figures = table.setdefault((who.name, mode, clients), Figures())
                    measure(who, mode, clients, seconds if clients > 1 else seconds / 2, figures)
                    _tell(number, who.name, mode, clients, figures)
        with (
            contestants.engine(home, hold=True) as engine,
            contestants.nginx(home, engine.port) as nginx,
            contestants.gateway(home, environment, engine.port) as gateway,
        ):
            memory = {who.name: memory_per_stream(who) for who in (nginx, gateway)}
    return table, memory


def _runs(*everybody: Contestant) -> list[tuple[str, int, Contestant]]:
    return [(mode, clients, who) for mode in ("plain", "streamed") for clients in (32, 1) for who in everybody]


def _tell(number: int, name: str, mode: str, clients: int, figures: Figures) -> None:
    last = f"{figures.work[-1]:>9,.0f}/s {figures.cpu[-1]:>6.0f} µs CPU"
    print(f"round {number + 1}  {name:12} {mode:8} {clients:>2} clients {last}", file=sys.stderr)


def report(table: Table, memory: dict[str, float]) -> str:
    """The result as Markdown."""
    machine = f"{time.strftime('%Y-%m-%d')}, {psutil.cpu_count()} cores, Python {platform.python_version()}"
    lines = [
        f"{machine}; medians of the rounds; ratios to nginx in the same run.",
        "",
        "| contestant | plain requests/s | CPU µs a request | streamed chunks/s | CPU µs a 64-chunk stream |",
        "|---|---|---|---|---|",
    ]
    for name in ("engine alone", "nginx", "Signalbox"):
        cells = [_cells(table, name, mode) for mode in ("plain", "streamed")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "| added to the engine's own latency | plain p50 ms | plain p99 ms | first token p50 ms | first token p99 ms |",
        "|---|---|---|---|---|",
    ]
    for name in ("nginx", "Signalbox"):
        for clients in (1, 32):
            added = [
                f"{table[name, mode, clients].quantile(q) - table['engine alone', mode, clients].quantile(q):.2f}"
                for mode in ("plain", "streamed")
                for q in (0.5, 0.99)
            ]
            lines.append(f"| {name}, {clients} client{'s' * (clients > 1)} | {' | '.join(added)} |")
    lines += ["", f"Memory at {STREAMS:,} open streams, each: "]
    lines[-1] += ", ".join(f"{name} {kib:.0f} KiB" for name, kib in memory.items()) + "."
    failures = sum(figures.failures for figures in table.values())
    return "\n".join([*lines, "", f"Failed answers: {failures}.", ""])


def _cells(table: Table, name: str, mode: str) -> str:
    mine, theirs = table[name, mode, 32], table["nginx", mode, 32]
    pace, cpu = statistics.median(mine.work), statistics.median(mine.cpu)
    ratio = pace / statistics.median(theirs.work)
    if not cpu:
        return f"{pace:,.0f} ({ratio:.2f} ×) | "
    return f"{pace:,.0f} ({ratio:.2f} ×) | {cpu:.0f} ({cpu / statistics.median(theirs.cpu):.1f} ×)"


def main() -> None:
    parser = argparse.ArgumentParser(description="The gateway against nginx")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sbx-race-") as home:
        Path(home).chmod(0o755)
        table, memory = race(Path(home), asked.seconds, asked.rounds)
    text = report(table, memory)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "race.md").write_text(f"# The race\n\n`make bench`. {text}")
    bars = {
        f"{mode}: {what}": {
            name: statistics.median(getattr(table[name, mode, 32], attribute)) for name in ("nginx", "Signalbox")
        }
        for mode, what, attribute in (
            ("plain", "requests/s", "work"), ("plain", "CPU µs a request", "cpu"),
            ("streamed", "chunks/s", "work"), ("streamed", "CPU µs a stream", "cpu"),
        )
    }  # fmt: skip
    (RESULTS / "race.svg").write_text(chart.bars(bars))


if __name__ == "__main__":
    main()
