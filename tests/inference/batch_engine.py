"""A stand-in that works like a real engine: some requests run, the rest wait, its counters move with each step.

``python -m tests.inference.batch_engine`` runs it as a process of its own, which can be stopped as only processes can;
it prints its URL, and how often it was heard whenever it is asked for metrics. On SIGUSR1 its steps stand still, while
it answers all that needs none; on SIGUSR2 they go on.
"""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.inference.engine import COMPLETION, DONE, STREAM_HEAD, USAGE_EVENT, Asked, Engine, chunk, delta, plain

RUNNING = 4
STEP_SECONDS = 0.02


class Batch:
    """`script` and `metrics` of an `Engine`. A request takes `max_tokens` steps; `pace` cleared stands still."""

    def __init__(self, kv_use: float = 0.1) -> None:
        self.kv_use = kv_use
        self.steps = self.waiting = self.running = 0
        self.pace = asyncio.Event()
        self.pace.set()
        self._slots = asyncio.Semaphore(RUNNING)

    async def script(self, engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            await self._generate(asked, writer)
        finally:
            self.running -= 1
            self._slots.release()

    async def _generate(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        streams = asked.json.get("stream")
        if streams:
            writer.write(STREAM_HEAD)
        for _ in range(asked.json.get("max_tokens", 3)):
            await asyncio.sleep(STEP_SECONDS)
            await self.pace.wait()
            self.steps += 1
            if streams:
                writer.write(chunk(delta("x")))
                await writer.drain()
        writer.write(
            chunk(USAGE_EVENT) + chunk(DONE) + b"0\r\n\r\n" if streams else plain(json.dumps(COMPLETION).encode())
        )
        await writer.drain()

    def metrics(self) -> str:
        labels = '{engine="0",model_name="m"}'
        told = {
            "num_requests_running": self.running,
            "num_requests_waiting": self.waiting,
            "kv_cache_usage_perc": self.kv_use,
            "generation_tokens_total": self.steps,
            "iteration_tokens_total_count": self.steps,
        }
        return "".join(f"vllm:{name}{labels} {float(value)}\n" for name, value in told.items())


@dataclass
class EngineProcess:
    """An engine that can be stopped by signal: its kernel still takes connections, and nobody answers."""

    process: subprocess.Popen[str]
    url: str

    async def told_its_metrics(self) -> None:
        """Return when it has, and was heard in time."""
        assert self.process.stdout is not None
        while not int(await asyncio.to_thread(self.process.stdout.readline)):
            pass

    def stall(self) -> None:
        self.process.send_signal(signal.SIGUSR1)

    def step_on(self) -> None:
        self.process.send_signal(signal.SIGUSR2)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def engine_process() -> Iterator[EngineProcess]:
    command = [sys.executable, "-m", "tests.inference.batch_engine"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield EngineProcess(process, process.stdout.readline().strip())
        finally:
            process.kill()


async def main() -> None:
    batch = Batch()

    def metrics() -> str:
        print(engine.heard, flush=True)
        return batch.metrics()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, batch.pace.clear)
    loop.add_signal_handler(signal.SIGUSR2, batch.pace.set)
    engine = Engine(batch.script, metrics=metrics)
    async with engine:
        print(engine.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
