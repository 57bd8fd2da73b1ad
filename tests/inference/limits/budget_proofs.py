"""L2, with real processes on a real Valkey and PostgreSQL: as many rounds as one has time for.

`race`, `crashes` and `wipes` raise AssertionError when the promise does not hold, and answer what they counted.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import redis

from inference.contract.limits import LimitEntry
from tests.inference.books import Books
from tests.waiting import PATIENCE, until

EACH = 10
"""tokens that every request here reserves, and uses"""
BALANCE = 10
"""requests that a budget has room for"""
LEASE_SECONDS = 0.6


class SpenderProcess:
    """One gateway process; `admit` and the others answer what it says."""

    def __init__(self, redis_url: str, database_url: str, gateways: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.inference.limits.spender", redis_url, database_url, str(gateways),
             str(LEASE_SECONDS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.hear() == "ready"

    def say(self, *words: object) -> None:
        assert self._process.stdin
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def ask(self, *words: object) -> Any:
        self.say(*words)
        return self.hear()

    def admit(self, count: int, entry: LimitEntry, tokens: int = EACH) -> dict[str, int]:
        return dict(self.ask("admit", count, tokens, msgspec.json.encode(entry).decode()))

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def leave(self) -> None:
        self.ask("leave")
        self._process.communicate()


@contextlib.contextmanager
def spenders(redis_url: str, books: Books, count: int) -> Iterator[list[SpenderProcess]]:
    """So many gateway processes; whoever still lives at the end is killed."""
    with contextlib.ExitStack() as ends:
        started = [SpenderProcess(redis_url, books.url, count) for _ in range(count)]
        for process in started:
            ends.callback(process.kill)
        yield started


def race(redis_url: str, books: Books, *, rounds: int, processes: int = 4, at_once: int = 50) -> dict[str, int]:
    """A balance for ten requests, fifty at once from several processes: exactly ten pass, and the ledger adds up."""
    refused = 0
    with spenders(redis_url, books, processes) as started:
        _warm_up(started, books)
        for number in range(rounds):
            entry = books.limit(tokens_per_day=BALANCE * EACH)
            shares = [at_once // processes + (place < at_once % processes) for place in range(processes)]
            for process, share in zip(started, shares, strict=True):
                process.say("admit", share, EACH, msgspec.json.encode(entry).decode())
            said = [process.hear() for process in started]
            admitted = sum(outcome.get("admitted", 0) for outcome in said)
            refused += sum(outcome.get("BudgetExhausted", 0) for outcome in said)
            assert admitted == BALANCE, f"round {number}: {admitted} passed: {said}"
            for process in started:
                process.ask("settle", EACH)
            until(lambda entry=entry: books.spent(entry) == BALANCE * EACH)  # type: ignore[misc]
            assert books.account(entry)["leased"] == 0
            assert not books.discrepancies()
    return {"rounds": rounds, "admitted": rounds * BALANCE, "refused": refused}


def crashes(redis_url: str, books: Books, *, count: int) -> dict[str, int]:
    """A process dies with reservations and with untold spending: the first come back, the second stays."""
    with spenders(redis_url, books, 1) as (survivor,):
        _warm_up([survivor], books)
        entry = books.limit(tokens_per_day=BALANCE * EACH * (count + 1))
        for number in range(count):
            with spenders(redis_url, books, 1) as (victim,):
                _admit_all(victim, entry, 3)
                victim.ask("settle", EACH)
                _admit_all(victim, entry, 4)
            _admit_all(survivor, entry, 1)
            survivor.ask("settle", EACH)
            until(lambda number=number: books.spent(entry) == 4 * EACH * (number + 1))  # type: ignore[misc]
        left = BALANCE * (count + 1) - 4 * count
        until(lambda: _all_is_there(survivor, entry, left))
        until(lambda: books.spent(entry) == BALANCE * EACH * (count + 1))
        assert not books.discrepancies()
    return {"crashes": count, "reservations lost": 0}


def wipes(redis_url: str, books: Books, *, count: int, processes: int = 2) -> dict[str, int]:
    """Redis is emptied while requests run: nothing is given out twice, and in the end all of it was given out."""
    spent = 0
    with spenders(redis_url, books, processes) as started, redis.Redis.from_url(redis_url) as client:
        _warm_up(started, books)
        entry = books.limit(tokens_per_day=BALANCE * EACH * count)
        for _ in range(count):
            running = [process.admit(2, entry).get("admitted", 0) for process in started]
            client.flushall()
            more = [process.admit(2, entry).get("admitted", 0) for process in started]
            spent += EACH * (sum(running) + sum(more))
            for process in started:
                process.ask("settle", EACH)
        until(lambda: _decides(started, books))
        deadline = time.monotonic() + PATIENCE
        while spent < BALANCE * EACH * count and time.monotonic() < deadline:
            for process in started:
                spent += EACH * process.admit(3, entry).get("admitted", 0)
                process.ask("settle", EACH)
        assert spent == BALANCE * EACH * count
        assert all(process.admit(1, entry).get("admitted", 0) == 0 for process in started)
        until(lambda: books.spent(entry) == spent)
        assert not books.discrepancies()
    return {"wipes": count, "spent": spent, "of": BALANCE * EACH * count}


def _warm_up(started: list[SpenderProcess], books: Books) -> None:
    """All have joined."""
    until(lambda: _decides(started, books))


def _decides(started: list[SpenderProcess], books: Books) -> bool:
    entry = books.limit(tokens_per_day=1000)
    admitted = [process.admit(1, entry).get("admitted") for process in started]
    for process in started:
        process.ask("settle", 0)
    return all(admitted)


def _admit_all(process: SpenderProcess, entry: LimitEntry, count: int) -> None:
    """So many are let through. Clients try again when nobody can say; no budget may have too little."""
    deadline = time.monotonic() + PATIENCE
    while count:
        said = process.admit(count, entry)
        assert "BudgetExhausted" not in said, said
        assert time.monotonic() < deadline, said
        count -= said.get("admitted", 0)


def _all_is_there(process: SpenderProcess, entry: LimitEntry, requests: int) -> bool:
    """The rest of the budget can be had at once."""
    whole = process.admit(requests, entry).get("admitted", 0) == requests
    process.ask("settle", EACH if whole else 0)
    return whole
