"""The gateway with a register that takes every row for written: what the price of the register is measured against.

    python -m bench.unrecorded

The product has no such switch. Everything else is the gateway's own worker, configured by the same environment.
"""

import asyncio
import os
import shutil
import tempfile
from typing import Any

import uvicorn

from inference.config import Config
from inference.register import OnFailure, Pack, Register, Row


class Unwritten(Register):
    """Rows are packed, as everything up to the database costs the same, and go nowhere."""

    def require(self) -> None:
        """There is always room."""

    def append(self, pack: Pack, on_failure: OnFailure | None = None, *, patient: bool = False) -> Row:
        """Durable at once, it says."""
        row = Row(pack, on_failure)
        row.packed, row.pack = pack(), None
        row.settle()
        return row

    async def run(self) -> None:
        """Nothing to connect to."""
        self._trouble = ""
        await asyncio.Event().wait()

    def close(self) -> None:
        """Nothing to write."""


def create() -> Any:
    """The application of the one worker."""
    from inference import app, worker  # noqa: PLC0415 - metrics look for their directory when they are imported

    app.Register = Unwritten  # type: ignore[misc]
    return worker.create()


def main() -> None:
    config = Config.from_env()
    directory = tempfile.mkdtemp(prefix="signalbox-unrecorded-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
    try:
        uvicorn.run(
            "bench.unrecorded:create", factory=True, port=config.port, loop="uvloop", http="inference.worker:Protocol",
            ws="none", lifespan="on", interface="asgi3", log_config=None, log_level="warning", access_log=False,
            server_header=False, proxy_headers=False, timeout_keep_alive=config.keepalive_seconds,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
