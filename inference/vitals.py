"""Looks after the engines beside the requests: takes those that hang out of rotation, knows how full their caches are.

Twice a second it judges each replica's pulse by what was heard from it. So that there is something to hear, it asks
``/metrics`` of those that have work of ours every `poll_seconds`, and of idle ones now and then, each on a connection
of its own. N gateway processes ask at N different moments.

What happens to requests on a replica that hangs: those whose client has seen nothing move to another replica, if one
is in rotation. Answers under way may go on, up to their time-out between chunks: nobody else can finish them, and on
CPUs a step can be long and its server deaf meanwhile. The last replica that a route has in rotation is never held back:
a wrong guess would cost everything.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from inference import engine_metrics, snapshot
from inference.connection import Connection
from inference.ejection import Fault
from inference.engine_metrics import Sample
from inference.errors import UpstreamError, UpstreamTimeout
from inference.pulse import Pulse, Verdict
from inference.snapshot import Replica, Route, Snapshot
from inference.timeouts import Timeouts
from inference.upstream import Exchange, Upstream

logger = logging.getLogger(__name__)

TICK = 0.5
IDLE_POLLS = 5
"""an idle replica is asked so many times less often"""
POLL_PATIENCE = 0.75
"""of the time between two polls, one may take so much"""
SPREAD = 0.1
"""by so much of it the time between two polls may be shorter"""
SAMPLE_POLLS = 3
"""a sample older than so many polls does not count"""
MOST_AT_ONCE = 64
"""polls"""
LARGEST_TEXT = 4 * 1024 * 1024
"""bytes of metrics; an engine that tells more tells nothing"""
KEPT_SECONDS = 4.0
"""how long an idle connection is used again; vLLM closes its side after 5"""
LATE = 1.0
"""seconds after which it was this process that stood still"""


class Patient(Pulse, kw_only=True):
    """A replica, its pulse, and when it was asked."""

    replica: Replica
    deployment: str
    asked_at: float
    haste: float
    """by so much of the usual time the next poll comes earlier"""
    polling: bool = False
    told_until: float = 0.0
    """so long its sample counts"""


class Vitals:
    """One per gateway process."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        poll_seconds: float,
        hung_seconds: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._upstream, self._chance = upstream, chance
        self._poll_seconds, self._hung_seconds = poll_seconds, hung_seconds
        self._snapshot = snapshot.EMPTY
        self._patients: dict[str, Patient] = {}
        self._connections = Upstream(KEPT_SECONDS)
        self._polls: set[asyncio.Task[None]] = set()
        longest = poll_seconds * POLL_PATIENCE
        self._timeouts = Timeouts(longest, longest, longest, longest)

    def follow(self, snapshot: Snapshot) -> None:
        """Take over new routes."""
        now = asyncio.get_running_loop().time()
        self._snapshot, before, self._patients = snapshot, self._patients, {}
        for route in snapshot.routes.values():
            for target in route.targets:
                for replica in target.replicas:
                    known = before.get(replica.name)
                    if known is None or known.replica.address != replica.address:
                        known = self._newcomer(replica, target.deployment, now)
                    known.replica, known.deployment = replica, target.deployment
                    self._patients[replica.name] = known
        self._upstream.follow({name: patient.replica.address for name, patient in self._patients.items()})

    def _newcomer(self, replica: Replica, deployment: str, now: float) -> Patient:
        """It is asked soon, as if the time between two polls were nearly over."""
        asked_at = now - self._poll_seconds * (IDLE_POLLS - self._chance() / 2)
        return Patient(alive_at=now, replica=replica, deployment=deployment, asked_at=asked_at, haste=0.0)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                due = loop.time() + TICK
                await asyncio.sleep(TICK)
                self._tick(loop.time(), loop.time() - due)
        finally:
            for poll in self._polls:
                poll.cancel()
            self._connections.close()

    def _tick(self, now: float, late: float) -> None:
        try:
            if late > LATE:
                self._pardon(late)
            self._look(now)
        except Exception:
            logger.exception("a look at the engines failed")

    def _pardon(self, late: float) -> None:
        """This process itself stood still, and has heard nothing of what came meanwhile."""
        for patient in self._patients.values():
            patient.pardon(late)

    def _look(self, now: float) -> None:
        heard, in_flight, kv_use = self._upstream.heard(now), self._upstream.in_flight, self._upstream.rotation.kv_use
        for name, patient in self._patients.items():
            last_heard = heard.get(patient.replica.address, 0.0)
            patient.heard(last_heard)
            if now >= patient.told_until:
                kv_use.pop(name, None)
            verdict = patient.judge(now, in_flight=in_flight.get(name, 0), patience=self._hung_seconds)
            if verdict is Verdict.ALIVE:
                self._upstream.rotation.let_go(name)
            else:
                self._treat(name, patient, verdict, now)
            if not patient.polling:
                busy = name in in_flight or patient.unanswered > 0 or last_heard > patient.asked_at
                self._ask_if_due(patient, now, self._poll_seconds * (1 if busy else IDLE_POLLS))
        self._connections.prune(self._snapshot.addresses, now)

    # those that hang

    def _treat(self, name: str, patient: Patient, verdict: Verdict, now: float) -> None:
        if self._others_in_rotation(name, now):
            silent = now - patient.alive_at
            self._upstream.rotation.hold(
                patient.deployment, name, now=now, why=f"{verdict.value}, no sign of life for {silent:.1f} s"
            )
        for exchange in list(self._upstream.exchanges):
            asked = exchange.replica
            if asked and asked.address == patient.replica.address and self._could_be_elsewhere(exchange, now):
                exchange.break_off(
                    UpstreamTimeout("The engine hangs.", retriable=True, code="upstream_hung", fault=Fault.HUNG)
                )

    def _could_be_elsewhere(self, exchange: Exchange, now: float) -> bool:
        if exchange.errand is None or exchange.replica is None:
            return False
        return self._upstream.could_ask_another(exchange.errand, exchange.replica.name, now)

    def _others_in_rotation(self, name: str, now: float) -> bool:
        """A route that has this replica has another one, too."""
        out = self._upstream.rotation.out(now)
        return any(name in names and names - {name} - out for names in map(_names, self._snapshot.routes.values()))

    # polls

    def _ask_if_due(self, patient: Patient, now: float, every: float) -> None:
        due = patient.asked_at + every * (1 - patient.haste)
        if now < due or len(self._polls) >= MOST_AT_ONCE:
            return
        # Counted from when it was due, or the ticks would stretch the time between two polls.
        patient.asked_at = due if now - due < TICK else now
        patient.haste, patient.polling = SPREAD * self._chance(), True
        poll = asyncio.create_task(self._poll(patient))
        self._polls.add(poll)
        poll.add_done_callback(self._polls.discard)

    async def _poll(self, patient: Patient) -> None:
        try:
            sample = await self._ask(patient.replica)
            self._take(patient, sample)
        except UpstreamError:
            patient.ignored()
        finally:
            patient.polling = False

    def _take(self, patient: Patient, sample: Sample) -> None:
        name = patient.replica.name
        stepped = patient.answered(sample, asyncio.get_running_loop().time())
        if self._patients.get(name) is not patient:
            return
        if stepped:
            self._upstream.stepped[patient.replica.address] = patient.answered_at
        if sample.kv_use is not None:
            self._upstream.rotation.kv_use[name] = sample.kv_use
            rest = IDLE_POLLS if name not in self._upstream.in_flight else 1
            patient.told_until = patient.answered_at + SAMPLE_POLLS * rest * self._poll_seconds

    async def _ask(self, replica: Replica) -> Sample:
        """What the engine tells now; nothing, if it has no metrics. Raises `UpstreamError` if it does not answer."""
        exchange, ends_at = Exchange(), asyncio.get_running_loop().time() + self._timeouts.total
        question = b"GET /metrics HTTP/1.1\r\n%baccept: text/plain\r\naccept-encoding: identity\r\n\r\n" % replica.head
        connection = await self._connections.send(replica, question, exchange, self._timeouts, ends_at)
        try:
            text = await _whole(connection)
        finally:
            self._connections.release(replica, connection, exchange)
        return engine_metrics.read(text) if connection.status == 200 else Sample()


async def _whole(connection: Connection) -> bytes:
    """All of an answer; empty if it is too long."""
    pieces, size = [], 0
    while piece := await connection.read():
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST_TEXT:
            return b""
    return b"".join(pieces)


def _names(route: Route) -> set[str]:
    return {replica.name for target in route.targets for replica in target.replicas}
