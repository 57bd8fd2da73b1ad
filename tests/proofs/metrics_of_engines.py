"""So many engines that tell as much as vLLM does, some 100 KB each; it prints their ports.

usage: python -m tests.proofs.metrics_of_engines COUNT
"""

import asyncio
import sys

from tests.monitoring.engine_text import vllm

_NOISE = "".join(f'vllm:other_{n}{{engine="0",model_name="smol",le="{n}"}} {n}.0\n' for n in range(1600))
_TEXT = (vllm(first_tokens=[1.0] * 50) + _NOISE).encode()
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%s" % (len(_TEXT), _TEXT)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(_ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(count: int) -> None:
    servers = [await asyncio.start_server(answer, "127.0.0.1", 0) for _ in range(count)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
