"""The gateway's ASGI application: its life, its table of paths, its one place where errors become answers."""

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from inference import key_usage, metrics, observe, tables
from inference.config import Config
from inference.endpoints import models
from inference.endpoints.table import ENDPOINTS, error_body_at
from inference.errors import (
    ClientClosed,
    GatewayError,
    InternalError,
    UnknownPath,
    WrongMethod,
)
from inference.handler import Gateway, handle
from inference.limits import Limiter
from inference.places import claim
from inference.register import Register
from inference.request import Receive, Request, Scope, Send
from inference.scopes import check_address
from inference.spool import Spool
from inference.tables import Tables
from inference.timeouts import Timeouts
from inference.upstream import Upstream
from inference.vitals import Vitals

logger = logging.getLogger(__name__)

PRUNE_EVERY = 1.0
REPORT_EVERY = 0.2
START_PATIENCE = 2.0
"""seconds; a process that can serve nothing yet leaves new connections to those that can, for so long"""


class App:
    """Raw ASGI. One per process."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._tasks: list[asyncio.Task[None]] = []
        self._log = observe.AccessLog(1) if config.access_log else None
        self._gateway: Gateway

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """No coroutine around the one that serves: it would be resumed with it each time."""
        return self._serve(scope, receive, send) if scope["type"] == "http" else self._live(receive, send)

    # life

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await self._be_ready_soon()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def start(self) -> None:
        """Returns at once; `not_ready` tells what is still missing."""
        config = self._config
        self._redis = tables.connect(config.redis_url)
        self._gateway = Gateway(
            config,
            Tables(
                self._redis,
                config.secret_key,
                Timeouts(config.connect_seconds, config.first_byte_seconds, config.chunk_seconds, config.total_seconds),
            ),
            Register(
                config.database_url,
                longest_commit=config.register_seconds,
                spool=Spool(Path(config.spool_dir), config.spool_bytes) if config.spool_dir else None,
                on_commit=metrics.AUDIT_LAG.set,
            ),
            Upstream(config.idle_seconds),
            _limiter(config),
        )
        await self._gateway.limiter.start(patience=0)
        self._writing = asyncio.create_task(self._gateway.register.run())
        self._look_after_engines()
        self._spawn(self._gateway.tables.follow())
        self._spawn(self._prune())
        self._spawn(self._report())
        self._spawn(key_usage.tell(self._redis, self._gateway.keys))
        gc.collect()
        gc.freeze()  # what is there now stays, and requests leave no circles: look for some less often
        gc.set_threshold(20_000, 50, 50)

    async def _be_ready_soon(self) -> None:
        """Wait for tables, register and limits, but not for long: clients must learn what is missing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_PATIENCE):
                while self.not_ready() or not self._gateway.limiter.alive:  # noqa: ASYNC110 - they tell nobody
                    await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Write what still waits for the register, then let go of everything."""
        self._gateway.register.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.wait({self._writing}, timeout=self._config.register_seconds * 2)
        self._gateway.upstream.close()
        await self._gateway.limiter.close()
        await self._redis.aclose()
        self._hand_on()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def _look_after_engines(self) -> None:
        vitals = Vitals(
            self._gateway.upstream, poll_seconds=self._config.poll_seconds, hung_seconds=self._config.hung_seconds
        )
        self._gateway.tables.on_routes = vitals.follow
        self._spawn(vitals.run())

    async def _prune(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PRUNE_EVERY)
            if self._gateway.tables.loaded:
                snapshot = self._gateway.tables.snapshot
                self._gateway.upstream.prune(snapshot.addresses, loop.time())
                self._gateway.limiter.expect_requests_of(snapshot.longest_request)

    def not_ready(self) -> list[str]:
        """Why this process should get no traffic; empty when it should."""
        reasons = []
        if not self._gateway.tables.loaded:
            reasons.append(self._gateway.tables.trouble)
        if self._gateway.register.trouble:
            reasons.append(f"register: {self._gateway.register.trouble}")
        return reasons

    # requests

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises nothing but what cannot be answered any more."""
        request = Request(scope, receive, send)
        error: GatewayError | None = None
        endpoint = ENDPOINTS.get(request.path)
        metrics.TALLY.inflight += 1
        try:
            request.check_head()
            if endpoint is not None and request.method == "POST":
                await handle(self._gateway, endpoint, request)
            else:
                await self._serve_small(request, known=endpoint is not None)
        except GatewayError as exc:
            error = exc
        except Exception:
            logger.exception("request %s failed", request.id)
            error = InternalError()
        finally:
            metrics.TALLY.inflight -= 1
            request.scope.pop("on_disconnect", None)  # a circle, which only the garbage collector would find
        if error is not None and not request.status and not isinstance(error, ClientClosed):
            await request.fail(error, error_body_at(request.path)(error, request.id))
        self._observe(request, error)

    async def _serve_small(self, request: Request, *, known: bool) -> None:
        """Everything that no engine answers."""
        path = request.path
        if path in {"/healthz", "/readyz"}:
            await self._serve_health(request, path == "/readyz")
        elif path == models.PATH or path.startswith(models.PATH + "/"):
            _require(request, "GET")
            principal = self._gateway.keys.authenticate(request.token)
            check_address(principal, request.source_ip)
            if path == models.PATH:
                body = models.list_models(self._gateway.tables, principal)
            else:
                body = models.show_model(self._gateway.tables, principal, request.scope["raw_path"])
            await request.answer(200, body)
        else:
            if known:
                _require(request, "POST")
            raise UnknownPath

    async def _serve_health(self, request: Request, wants_ready: bool) -> None:
        _require(request, "GET")
        reasons = self.not_ready() if wants_ready else []
        body = {"ok": True} if not wants_ready else {"ready": not reasons, "reasons": reasons}
        await request.answer(503 if reasons else 200, msgspec.json.encode(body))

    def _observe(self, request: Request, error: GatewayError | None) -> None:
        if request.path in {"/healthz", "/readyz"}:
            return
        now = time.perf_counter()
        observe.measure(request, error, now)
        if self._log is not None:
            self._log.add(observe.line(request, error, now))

    async def _report(self) -> None:
        """What was observed is handed on a few times a second, all at once."""
        while True:
            await asyncio.sleep(REPORT_EVERY)
            self._hand_on()

    def _hand_on(self) -> None:
        metrics.TALLY.fold()
        if self._log is not None:
            self._log.flush()


def _limiter(config: Config) -> Limiter:
    """This process's part in the limits. Its place tells it apart, as long as there are no gateways elsewhere."""
    everywhere = max(config.all_workers, config.workers)
    return Limiter(
        config.redis_url,
        config.database_url,
        gateways=everywhere,
        place=claim(config.workers) if everywhere == config.workers else None,
        longest_request=config.total_seconds,
    )


def _require(request: Request, method: str) -> None:
    if request.method != method:
        raise WrongMethod(method)
