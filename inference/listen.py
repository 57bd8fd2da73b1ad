"""Taking a port."""

import socket
import sys
import time

PATIENCE = 5.0
"""a predecessor that was killed leaves workers behind, which let go of the port within a second"""


def bind(address: str, port: int, what: str) -> socket.socket:
    """A socket on that address. Ends the process with one clear line when somebody else keeps it."""
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            listener.bind((address, port))
        except OSError as exc:
            if time.monotonic() > deadline:
                sys.exit(
                    f"{what} cannot listen on {address} port {port}: {exc.strerror}. Free the port or set another."
                )
            time.sleep(0.2)
        else:
            return listener
