"""A client's connection to a worker that is to end: no request that is on its way is lost.

uvicorn closes what is idle at once, and a request that was just sent there dies with it. Here an idle connection stays
for a moment; whoever uses it once more is answered, and told that this was the last answer on it.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from inference.protocol import StrictProtocol

GRACE = 2.0
"""Seconds. Clients that ask again and again are told by then; a connection that is idle for longer is hardly used in
just the moment in which it is closed."""


class DrainingProtocol(StrictProtocol):
    """One client connection."""

    _draining = False

    def shutdown(self) -> None:
        self._draining = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(GRACE, self._close_if_idle)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._draining:
            cycle.keep_alive = False
        super()._start_asgi_task(cycle, app)

    def _close_if_idle(self) -> None:
        """What has begun meanwhile ends by itself, with its answer or with the time it has to arrive."""
        if not self._head_bytes and self._in_head and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
