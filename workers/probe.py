"""Asking engines whether they are well, many at once and never for long.

Ready is what answers ``/health`` and has generated a token. A ready engine is asked again at every pass, with care not
to eject one that is merely busy: while it has work, progress is what counts (``/health`` answers 200 even when the
engine behind it hangs); only an idle one is asked for a token now and then.
"""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import httpx

from controlplane import engine_tls
from workers.verdict import Health

HEALTH_SECONDS = 6.0
"""how late an engine may answer: one whose processor others have may be silent for seconds, and serves all the same"""
TOKEN_SECONDS = 20.0
PROGRESS_SECONDS = 20.0
"""how long an engine with work may stand still: it does while it compiles what it is asked for the first time.

Gateways turn to its siblings long before that; whoever takes its work from the last one answers with errors instead.
"""
IDLE_TOKEN_EVERY = 30.0
STALE_SECONDS = 10.0
MOST_AT_ONCE = 32
_LOOK_AGAIN = 0.25
_LOAD = "server_load"
_WORK = (_LOAD, "vllm:num_requests_running", "vllm:num_requests_waiting")
_PROGRESS = ("vllm:iteration_tokens_total_count", "vllm:prompt_tokens_total", "vllm:generation_tokens_total")


@dataclass(frozen=True)
class Target:
    """One running engine. `run` tells one start of it from the next."""

    name: str
    url: str
    served_name: str
    key: str = field(repr=False)
    run: float | None
    ready: bool
    external: bool
    tls_ca: str = field(default="", repr=False)
    tls_verify: bool = True


@dataclass
class _Known:
    """What is going on with one engine: the open or unread question, and when it last gave a token."""

    run: float | None
    ready: bool
    future: Future[Health] | None = None
    answered_at: float = 0.0
    token_at: float = float("-inf")


class Prober:
    """Keeps at most one question open for each engine; an answer that comes late is there at the next pass."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="probe")
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()
        # A connection a look: engines close an idle one after 5 s, perhaps just when the next question is written.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx.Client(timeout=HEALTH_SECONDS, trust_env=False, limits=limits)

    def ask(self, targets: Iterable[Target], patience: float) -> dict[str, Health]:
        """What is known after at most `patience` seconds. An engine that has not answered by then is left out."""
        with self._lock:
            open_ = {target.name: self._question(target) for target in targets}
            done = wait(open_.values(), timeout=patience).done
            answers = {name: future.result() for name, future in open_.items() if future in done}
            for name in answers:
                self._known[name].future = None
            return answers

    def _question(self, target: Target) -> Future[Health]:
        """The engine's open question, or a new one. An answer that waited too long to be read is thrown away.

        So is one from before another worker found the engine ready: it tells of an engine that was still loading.
        """
        known = self._known.get(target.name)
        if known is None or known.run != target.run:
            known = self._known[target.name] = _Known(target.run, target.ready)
        if known.ready != target.ready:
            known.ready, known.future = target.ready, None
        stale = time.monotonic() - known.answered_at > STALE_SECONDS
        if known.future is None or (known.future.done() and stale):
            token = not target.ready or time.monotonic() - known.token_at > IDLE_TOKEN_EVERY
            known.future = self._pool.submit(self._look, target, known, token)
        return known.future

    def _look(self, target: Target, known: _Known, token: bool) -> Health:
        try:
            return self._found(target, known, token)
        finally:
            known.answered_at = time.monotonic()

    def _found(self, target: Target, known: _Known, token: bool) -> Health:
        try:
            if target.external:
                return self._look_at_external(target)
            health = _health(self._client, target)
            return health if not health.ok else self._deeper(target, known, token)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            return Health(ok=False, reason="no_answer", message=f"{target.url} does not answer: {_words(exc)}")
        except (ValueError, AttributeError, KeyError, TypeError) as exc:
            return Health(
                ok=False, reason="bad_answer", message=f"{target.url} does not answer as an engine does: {exc}"
            )

    def _look_at_external(self, target: Target) -> Health:
        """Some have TLS, each with a CA of its own perhaps: then the connection is for this look only."""
        if not target.url.startswith("https:"):
            return _external(self._client, target)
        trust = engine_tls.context(target.tls_ca, verify=target.tls_verify)
        with httpx.Client(timeout=HEALTH_SECONDS, trust_env=False, verify=trust) as client:
            return _external(client, target)

    def _deeper(self, target: Target, known: _Known, token: bool) -> Health:
        if target.ready and _is_busy(figures := _figures(self._client, target)):
            return _progress(self._client, target, figures)
        if not token:
            return Health(ok=True)
        health = _token(self._client, target) if target.ready else _first_token(self._client, target)
        if health.ok:
            known.token_at = time.monotonic()
        return health


def _health(client: httpx.Client, target: Target) -> Health:
    answer = client.get(f"{target.url}/health")
    if answer.status_code == 200:
        return Health(ok=True)
    return Health(ok=False, reason="unhealthy", message=f"{target.url}/health answered {answer.status_code}")


def _external(client: httpx.Client, target: Target) -> Health:
    """Reachable is enough: not every engine has ``/health``, and tokens of somebody else's may cost money.

    One that refuses our key would refuse every request.
    """
    if not target.key and _health(client, target).ok:
        return Health(ok=True)
    headers = {"Authorization": f"Bearer {target.key}"} if target.key else {}
    answer = client.get(f"{target.url}/v1/models", headers=headers)
    if target.key and answer.status_code in {401, 403}:
        return Health(ok=False, reason="unhealthy", message=f"{target.url} refuses its key ({answer.status_code})")
    if answer.status_code < 500:
        return Health(ok=True)
    return Health(ok=False, reason="unhealthy", message=f"{target.url}/v1/models answered {answer.status_code}")


def _first_token(client: httpx.Client, target: Target) -> Health:
    """With log probabilities: unless it is eager, vLLM compiles code for them at the first, and all its work stands.

    An operator may have switched them off.
    """
    health = _token(client, target, logprobs=1)
    return health if health.ok else _token(client, target)


def _token(client: httpx.Client, target: Target, **more: int) -> Health:
    body = {"model": target.served_name, "prompt": "1", "max_tokens": 1, "temperature": 0, **more}
    headers = {"Authorization": f"Bearer {target.key}"}
    answer = client.post(f"{target.url}/v1/completions", json=body, headers=headers, timeout=TOKEN_SECONDS)
    if answer.status_code == 200 and answer.json().get("choices"):
        return Health(ok=True)
    return Health(
        ok=False, reason="no_token", message=f"asked for one token, {target.url} answered {answer.status_code}"
    )


def _progress(client: httpx.Client, target: Target, before: dict[str, float]) -> Health:
    """Well as soon as anything has moved, or the work is done."""
    deadline = time.monotonic() + PROGRESS_SECONDS
    while time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN)
        now = _figures(client, target)
        if not _is_busy(now) or any(now.get(name) != before.get(name) for name in _PROGRESS):
            return Health(ok=True)
    return Health(ok=False, reason="no_progress", message=f"has work and made no progress for {PROGRESS_SECONDS:.0f} s")


def _is_busy(figures: dict[str, float]) -> bool:
    return any(figures.get(name, 0.0) > 0 for name in _WORK)


def _figures(client: httpx.Client, target: Target) -> dict[str, float]:
    """The few figures that matter here, summed over their labels. An engine without them counts as idle.

    The engine's own count of its work stands still when it hangs; the API server's in ``/load`` does not.
    """
    figures: dict[str, float] = {_LOAD: _server_load(client, target)}
    for line in client.get(f"{target.url}/metrics").text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name in _WORK or name in _PROGRESS:
            try:
                figures[name] = figures.get(name, 0.0) + float(line.rsplit(" ", 1)[1])
            except (ValueError, IndexError):
                continue
    return figures


def _server_load(client: httpx.Client, target: Target) -> float:
    answer = client.get(f"{target.url}/load")
    return float(answer.json()["server_load"]) if answer.status_code == 200 else 0.0


def _words(exc: Exception) -> str:
    return str(exc) or type(exc).__name__
