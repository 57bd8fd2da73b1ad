"""An engine process that does what its requests ask for.

    python -m tests.proofs.engine PORT

Fields of a request: `prefill` seconds until the first byte, `chunks` events `pause` seconds apart. On SIGTERM it takes
no new connection and ends once all that it has begun is answered, as a well-behaved engine does.
"""

import asyncio
import json
import signal
import sys

import uvloop

from tests.inference.engine import COMPLETION, DONE, STREAM_HEAD, USAGE_EVENT, Asked, Engine, chunk, delta, plain

_WHOLE = plain(json.dumps(COMPLETION).encode())


async def obey(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Answer as the request wants it; the events are numbered."""
    wish = asked.json if asked.body else {}
    await asyncio.sleep(wish.get("prefill", 0))
    if not wish.get("stream"):
        writer.write(_WHOLE)
        await writer.drain()
        return
    writer.write(STREAM_HEAD)
    for number in range(wish.get("chunks", 2)):
        writer.write(chunk(delta(f"{number} ")))
        await writer.drain()
        await asyncio.sleep(wish.get("pause", 0))
    usage = chunk(USAGE_EVENT) if (wish.get("stream_options") or {}).get("include_usage") else b""
    writer.write(usage + chunk(DONE) + b"0\r\n\r\n")
    await writer.drain()


async def serve(port: int) -> None:
    told, running = asyncio.Event(), set[int]()

    async def counted(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
        running.add(id(asked))
        try:
            await obey(engine, asked, writer)
        finally:
            running.discard(id(asked))

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with Engine(counted, port) as engine:
        await told.wait()
        engine.refuse()
        while running:  # noqa: ASYNC110 - it tells nobody when it is empty
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
