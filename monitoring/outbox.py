"""Deliveries: claim one of a channel, send it, write down what came of it. A lease each, so that a death delays only.

A channel has one message on its way at a time. A try is written before it is made: what a dead worker sent counts
against the robot's limit too. Whatever waits while a channel may not be asked is gathered into its next message.
"""

import logging
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from controlplane.models import Channel, ChannelBreak, Delivery, DeliveryAttempt, Notice
from controlplane.models.alerts import DeliveryState
from controlplane.sealing import Unopenable, reveal
from monitoring import messages
from monitoring.transports.base import ANSWER_KEPT, Address, Answer, Message, Transport, TransportError
from monitoring.transports.registry import TRANSPORTS

logger = logging.getLogger(__name__)

A_MINUTE = 18
"""messages to one robot; it is blocked for minutes from the 21st on"""
LEASE_SECONDS = 30.0
PASS_SECONDS = 20.0
AT_ONCE = 16
OWN_MESSAGES = 3
"""up to so many rules that wait get a message of their own, while there is room for them"""
FIRST_RETRY, LONGEST_RETRY = 5.0, 300.0
GIVE_UP = timedelta(days=1)
_OPEN = (DeliveryState.WAITING, DeliveryState.SENDING)


class Reason(StrEnum):
    """What came of a try."""

    TAKEN = "taken"
    TRY_AGAIN = "try_again"
    THROTTLED = "throttled"
    REFUSED = "refused"
    CHANNEL_BROKEN = "channel_broken"
    GAVE_UP = "gave_up"


@dataclass(frozen=True)
class Claimed:
    """A message that this worker, and nobody else before the lease is over, sends."""

    channel: Channel
    delivery: Delivery
    attempt: int
    """id of the written try"""
    address: Address
    message: Message
    transport: Transport


def deliver(*, seconds: float = PASS_SECONDS, lease: float = LEASE_SECONDS) -> int:
    """Send what is due, until nothing is or the time is up; answers how many messages were taken."""
    sent, until = 0, time.monotonic() + seconds
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="deliver") as pool:
        while time.monotonic() < until:
            claims = [it for channel in waiting() if (it := claim(channel, timezone.now(), lease)) is not None]
            if not claims:
                break
            for claimed, outcome in zip(claims, pool.map(send, claims), strict=True):
                sent += settle(claimed, outcome, timezone.now()) is Reason.TAKEN
    return sent


def waiting() -> list[UUID]:
    """Channels that somebody or something waits for."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING)
        return [row[0] for row in cursor.fetchall()]


_WAITING = """
SELECT id FROM controlplane_channel AS channel
WHERE EXISTS (SELECT 1 FROM controlplane_notice WHERE channel_id = channel.id AND delivery_id IS NULL)
   OR EXISTS (SELECT 1 FROM controlplane_delivery
              WHERE channel_id = channel.id AND state IN ('waiting', 'sending'))
ORDER BY id
"""


@transaction.atomic
def claim(channel_id: UUID, now: datetime, lease: float = LEASE_SECONDS) -> Claimed | None:
    """The channel's next message, if there is one and the robot may be asked; None also if another worker is at it."""
    locked = Channel.objects.select_for_update(skip_locked=True, no_key=True)
    channel = locked.filter(pk=channel_id).first()
    if channel is None:
        return None
    room = _room(channel, now)
    open_ = list(Delivery.objects.filter(channel=channel, state__in=_OPEN).order_by("due_at", "pk")[:20])
    if room <= 0 or any(it.state == DeliveryState.SENDING and (it.lease_until or now) > now for it in open_):
        return None
    listens = channel.enabled and not ChannelBreak.objects.filter(channel=channel).exists()
    found = _due(open_, now, listens=listens)
    if found is None and listens and not any(not it.test for it in open_):
        found = _gather(channel, room, now)
    return None if found is None else _take(channel, found, now, lease)


def _room(channel: Channel, now: datetime) -> int:
    """How many messages it may be sent now: of a minute and of an hour, those that failed counted in."""
    tries = DeliveryAttempt.objects.filter(channel=channel)
    minute = tries.filter(at__gt=now - timedelta(minutes=1)).count()
    hour = tries.filter(at__gt=now - timedelta(hours=1)).count()
    return min(A_MINUTE - minute, channel.hourly_cap - hour)


def _due(open_: Iterable[Delivery], now: datetime, *, listens: bool) -> Delivery | None:
    """One that was begun or ordered before. Tests are sent to a silent or broken channel too, to find that out."""
    for delivery in open_:
        if delivery.due_at <= now and (listens or delivery.test):
            return delivery
    return None


def _gather(channel: Channel, room: int, now: datetime) -> Delivery | None:
    """A new delivery of what waits: of one rule while few wait and there is room, else of all together."""
    transport = TRANSPORTS[channel.kind]
    waiting = _notices(Notice.objects.filter(channel=channel, delivery=None), transport.most_alerts)
    if not waiting:
        return None
    groups = {(it.alert.rule_id, it.kind) for it in waiting}
    if len(groups) <= min(OWN_MESSAGES, room - OWN_MESSAGES):
        first = waiting[0]
        waiting = [it for it in waiting if (it.alert.rule_id, it.kind) == (first.alert.rule_id, first.kind)]
    composed = messages.compose(
        waiting, language=channel.language, most_bytes=transport.most_bytes, twice=False, now=now
    )
    delivery = Delivery.objects.create(
        channel=channel, title=composed.message.title, notices=composed.used, due_at=now
    )  # fmt: skip
    Notice.objects.filter(pk__in=[it.pk for it in waiting[: composed.used]]).update(delivery=delivery)
    return delivery


def _notices(found: QuerySet[Notice], most: int | None = None) -> list[Notice]:
    return list(found.select_related("alert").order_by("pk")[:most])


def _take(channel: Channel, delivery: Delivery, now: datetime, lease: float) -> Claimed | None:
    """Write the try down, then compose it. A lease that ran out means that nobody knows whether it arrived."""
    transport = TRANSPORTS[channel.kind]
    twice = delivery.maybe_twice or delivery.state == DeliveryState.SENDING
    if delivery.test:
        message = messages.test_message(channel, now)
    else:
        told = _notices(Notice.objects.filter(delivery=delivery))
        if not told:  # its alerts were deleted
            _end(delivery, DeliveryState.FAILED, Reason.REFUSED, now)
            return None
        message = messages.compose(
            told, language=channel.language, most_bytes=1 << 30, twice=twice, now=now
        ).message  # fmt: skip
    attempt = DeliveryAttempt.objects.create(delivery=delivery, channel=channel, at=now)
    delivery.attempts += 1
    delivery.maybe_twice = twice
    Delivery.objects.filter(pk=delivery.pk).update(
        state=DeliveryState.SENDING, attempts=delivery.attempts, maybe_twice=twice, title=message.title[:300],
        lease_until=now + timedelta(seconds=lease), updated_at=now,
    )  # fmt: skip
    try:
        address = Address(reveal(channel, "sealed_url"), reveal(channel, "sealed_secret"))
    except Unopenable:
        address = Address("")
    return Claimed(channel, delivery, attempt.pk, address, message, transport)


def send(claimed: Claimed) -> Answer | TransportError:
    """Outside of any transaction, in a thread: it asks no database."""
    if not claimed.address.url:
        return TransportError("its URL cannot be opened: the master key is another one", permanent=True)
    try:
        return claimed.transport.notify(claimed.address, claimed.message)
    except TransportError as exc:
        return exc
    except Exception as exc:  # whatever an answer made of it, the delivery must not stay on its way
        logger.exception("a message to %s was not sent", claimed.channel.name)
        return TransportError(f"could not be sent: {type(exc).__name__}")


@transaction.atomic
def settle(claimed: Claimed, outcome: Answer | TransportError, now: datetime) -> Reason:
    """Write down what came of it. What another worker has taken over meanwhile is left to that one."""
    delivery, reason = claimed.delivery, _reason(outcome, claimed.delivery, now)
    text = outcome.text if isinstance(outcome, Answer) else outcome.message
    DeliveryAttempt.objects.filter(pk=claimed.attempt).update(
        ended_at=now, reason=reason, status_code=outcome.status_code, answer=_storable(text)
    )
    mine = Delivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts, state=DeliveryState.SENDING)
    if not mine.update(status_code=outcome.status_code, answer=_storable(text), reason=reason, updated_at=now):
        return reason
    if reason is Reason.TAKEN:
        _end(delivery, DeliveryState.SENT, reason, now)
        if delivery.test:
            ChannelBreak.objects.filter(channel=claimed.channel).delete()
    elif isinstance(outcome, TransportError) and reason in {Reason.TRY_AGAIN, Reason.THROTTLED}:
        due = now + timedelta(seconds=outcome.retry_after or _backoff(delivery.attempts))
        Delivery.objects.filter(pk=delivery.pk).update(
            state=DeliveryState.WAITING, due_at=due, lease_until=None,
            maybe_twice=delivery.maybe_twice or outcome.uncertain,
        )  # fmt: skip
    else:
        _fail(claimed, reason, text, now)
    return reason


def _reason(outcome: Answer | TransportError, delivery: Delivery, now: datetime) -> Reason:
    if isinstance(outcome, Answer):
        return Reason.TAKEN
    if outcome.permanent:
        return Reason.CHANNEL_BROKEN
    if outcome.refused:
        return Reason.REFUSED
    if now - delivery.created_at > GIVE_UP or (delivery.test and delivery.attempts >= 2):
        return Reason.GAVE_UP
    return Reason.THROTTLED if outcome.retry_after else Reason.TRY_AGAIN


def _fail(claimed: Claimed, reason: Reason, text: str, now: datetime) -> None:
    """What a broken channel was not told waits for its mending."""
    delivery = claimed.delivery
    _end(delivery, DeliveryState.FAILED, reason, now)
    logger.warning("channel %s: %s", claimed.channel.name, reason)
    if reason is Reason.CHANNEL_BROKEN:
        Notice.objects.filter(delivery=delivery).update(delivery=None)
        if not delivery.test:
            ChannelBreak.objects.get_or_create(
                channel=claimed.channel, defaults={"at": now, "message": _storable(text)}
            )


def _end(delivery: Delivery, state: DeliveryState, reason: Reason, now: datetime) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(
        state=state, reason=reason, lease_until=None, updated_at=now,
        sent_at=now if state is DeliveryState.SENT else None,
    )  # fmt: skip


def _backoff(attempts: int) -> float:
    return min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** (attempts - 1))


def _storable(text: str) -> str:
    return text.replace("\0", "")[:ANSWER_KEPT]
