"""``python -m inference``: the parent that binds the port, keeps the workers alive and answers the operator's port."""

import logging
import os
import shutil
import socket
import sys
import tempfile
import time

from inference.config import Config

BIND_PATIENCE = 5.0
"""a predecessor that was killed leaves workers behind, which let go of the port within a second"""


def main() -> None:
    """Run until SIGTERM or SIGINT; then the workers finish their streams and everything ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = Config.from_env()
    directory = tempfile.mkdtemp(prefix="signalbox-gateway-")
    # prometheus_client looks at it when it is imported, here and in the workers that inherit it.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
    try:
        from inference import supervisor  # noqa: PLC0415

        with bind(config.bind, config.port) as listener:
            supervisor.run(config, listener, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def bind(address: str, port: int) -> socket.socket:
    """A socket on that address. Ends the process with one clear line when somebody else has it."""
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    deadline = time.monotonic() + BIND_PATIENCE
    while True:
        try:
            listener.bind((address, port))
        except OSError as exc:
            if time.monotonic() > deadline or not isinstance(exc, OSError):
                sys.exit(
                    f"The gateway cannot listen on {address} port {port}: {exc.strerror}. Free the port or set another."
                )
            time.sleep(0.2)
        else:
            return listener


if __name__ == "__main__":
    main()
