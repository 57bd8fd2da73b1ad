"""How long lists of the management API take when there is much to list.

    python -m bench.lists           10,000 objects of each noun, 100,000 keys and entries of the register

A console of its own answers over HTTP, one request at a time: first and later pages, every ordering, filters, and
searches that find much, little and nothing; asked by the platform's owner and by a developer of one project. Bars: p95
of 50 ms for each noun and 100 ms for keys. The ratio is to `GET /api/v1/openapi.json`, which asks no database, in the
same run; the CPU is what the console's process used a request, which says more than the clock while other work shares
the machine.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import psutil

from bench.console import console, environment
from bench.contestants import ROOT

OBJECTS, KEYS = 10_000, 100_000
ROUNDS = 12
"""times that each question of a list is asked by each"""
LISTS = {
    "models": "description", "versions": "source", "deployments": "served_name", "replicas": "message", "routes": "",
    "limits": "", "projects": "title", "users": "email", "service-accounts": "description", "tokens": "",
    "role-bindings": "", "sessions": "", "audit/events": "", "api-keys": "created_by",
}  # fmt: skip
BAR_MS = 50.0
BARS_MS = {"api-keys": 100.0}
RARE = "zyxwv"
"""what one in a thousand objects is called"""


def questions(described: dict[str, list[str]]) -> list[str]:
    """Queries that the description allows: pages, orderings, filters, searches."""
    asked = ["", "limit=200", *(f"ordering={it}" for it in described["ordering"])]
    for name, value in (("name", "n-00777"), ("project", "n-00007"), ("usable", "true"), ("state", "")):
        if name in described:
            asked.append(f"{name}={(described[name] or [value])[0]}")
    if "unused_since" in described:
        asked.append("unused_since=2020-01-01T00:00:00Z")
    if "search" in described:
        asked += ["search=n-0", f"search={RARE}", "search=is-nowhere-to-be-found"]
    return asked


def parameters(client: httpx.Client) -> dict[str, dict[str, list[str]]]:
    """noun -> parameter -> what it may be, from the API's own description."""
    paths = client.get("/openapi.json").json()["paths"]
    return {
        path.removeprefix("/api/v1/"): {
            it["name"]: it["schema"].get("enum", []) for it in item["get"].get("parameters", [])
        }
        for path, item in paths.items()
        if "get" in item
    }


def timed(client: httpx.Client, path: str) -> tuple[float, httpx.Response]:
    """Milliseconds, and the answer."""
    began = time.perf_counter()
    answer = client.get(path)
    return (time.perf_counter() - began) * 1000, answer


def paths_of(client: httpx.Client, noun: str, asked: list[str]) -> Iterator[str]:
    """The questions, each with a page far behind the first."""
    for query in asked:
        path = f"/{noun}?{query}".rstrip("?")
        yield path
        following, seen = path, 0
        while following and seen < 5:
            answer = client.get(following)
            answer.raise_for_status()
            following, seen = answer.json()["next"], seen + 1
        if following:
            yield following


def cpu_of(pid: int) -> float:
    """Seconds that the process has used until now."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, round(part * (len(values) - 1)))]


def measure(url: str, pid: int, tokens: dict[str, str]) -> bool:
    """Ask everything, tell the figures; True when every bar holds."""
    clients = {
        who: httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60)
        for who, token in tokens.items()
    }
    owner = clients["owner"]
    described = parameters(owner)
    base = statistics.median(timed(owner, "/openapi.json")[0] for _ in range(50))
    print(f"GET /openapi.json, which asks no database: {base:.1f} ms; load average {os.getloadavg()[0]:.1f}")
    head = ("list", "rows", "asked", "p50 ms", "p95 ms", "bar", "p95/base", "CPU ms")
    print("{:18} {:>7} {:>6} {:>7} {:>7} {:>5} {:>9} {:>7}  slowest question".format(*head))
    held = True
    for noun in LISTS:
        found: dict[tuple[str, str], list[float]] = {}
        used = 0.0
        for who, client in clients.items():
            if client.get(f"/{noun}").status_code != 200:
                continue  # not theirs to read
            work = [path for path in paths_of(client, noun, questions(described[noun])) for _ in range(ROUNDS)]
            random.shuffle(work)
            before = cpu_of(pid)
            for path in work:
                found.setdefault((who, path), []).append(timed(client, path)[0])
            used += cpu_of(pid) - before
        bar, every = BARS_MS.get(noun, BAR_MS), [ms for times in found.values() for ms in times]
        slowest = max(found, key=lambda it: statistics.median(found[it]))
        p50, p95 = statistics.median(every), quantile(every, 0.95)
        held &= p95 <= bar
        rows = KEYS if noun in {"api-keys", "audit/events"} else OBJECTS
        where = f"{slowest[0]}: {httpx.URL(slowest[1]).query.decode()[:60]} {statistics.median(found[slowest]):.0f} ms"
        figures = f"{p50:>7.1f} {p95:>7.1f} {bar:>5.0f} {p95 / base:>9.1f} {used / len(every) * 1000:>7.1f}"
        print(f"{noun:18} {rows:>7,} {len(every):>6,} {figures}  {where}", flush=True)
    return held


def main() -> None:
    with environment() as env:
        began = time.perf_counter()
        fill = subprocess.run(
            [sys.executable, "-m", "bench.furnish", str(OBJECTS), str(KEYS)],
            cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        print(f"{OBJECTS:,} objects of each noun and {KEYS:,} keys made in {time.perf_counter() - began:.0f} s")
        with console(env) as (url, pid):
            held = measure(url, pid, json.loads(fill.stdout))
    print("every bar holds" if held else "a bar does not hold")
    sys.exit(not held)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
