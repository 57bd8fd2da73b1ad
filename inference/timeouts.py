"""How long each stage of a request to an engine may take."""

import msgspec

from inference.contract.tables import TimeoutsEntry


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds. Settings give the gateway's own, a route may have others."""

    connect: float = 2.0
    """to open a connection, TLS handshake and all"""
    first_byte: float = 600.0
    """from the request to the first byte of the answer"""
    chunk: float = 120.0
    """between two pieces of an answer"""
    total: float = 600.0
    """from the first attempt to the last byte, retries and all"""

    def of_route(self, entry: TimeoutsEntry) -> "Timeouts":
        """These, where the route has none of its own. What is no positive number counts as none."""
        own = msgspec.structs.asdict(entry)
        return msgspec.structs.replace(self, **{name: value for name, value in own.items() if value and value > 0})


DEFAULTS = Timeouts()
