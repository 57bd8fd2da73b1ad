"""Making and changing channels: they check and seal in the same way."""

from typing import Any

from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import difference, project_name, snapshot, target_of, validate
from controlplane.actions.masking import OTHER
from controlplane.alerting import addresses
from controlplane.engine_secrets import HIDDEN
from controlplane.models import Channel, ChannelBreak, Project
from controlplane.permissions import Permission, require
from controlplane.sealing import seal

PLAIN = frozenset({"name", "language", "min_severity", "hourly_cap", "send_recovery", "enabled"})


@transaction.atomic
def create_channel(
    *, project: Project | None = None, kind: str, url: str, secret: str = "", actor: Actor, reason: str = "",
    **fields: Any,
) -> Channel:  # fmt: skip
    """A robot or webhook that is told of alerts from now on. `secret` is what messages are signed with."""
    require(actor, Permission.CHANNEL_CREATE, project)
    channel = Channel(project=project, kind=kind, **fields)
    _set_address(channel, url)
    seal(channel, "sealed_secret", secret)
    validate(channel)
    channel.save()
    record(
        Operation.CHANNEL_CREATED, actor=actor, target=target_of(channel), project=project_name(project),
        reason=reason, detail={"kind": kind, "url": channel.shown_url, "signed": bool(secret)},
    )  # fmt: skip
    return channel


@transaction.atomic
def change_channel(
    channel: Channel, *, url: str | None = None, secret: str | None = None, actor: Actor, reason: str = "",
    **fields: Any,
) -> Channel:  # fmt: skip
    """Give it other values. An empty `url` leaves it, an empty `secret` takes it away. A broken one is tried again."""
    require(actor, Permission.CHANNEL_CHANGE, channel.project)
    if unknown := fields.keys() - PLAIN:
        raise TypeError(f"not changeable: {', '.join(sorted(unknown))}")
    before = snapshot(channel, {*fields, "shown_url"})
    for name, value in fields.items():
        setattr(channel, name, value)
    if url:
        _set_address(channel, url)
    changes = difference(before, snapshot(channel, {*fields, "shown_url"}))
    if secret is not None:
        changes |= _set_secret(channel, secret)
    validate(channel)
    mended = ChannelBreak.objects.filter(channel=channel).delete()[0]
    if changes or url or mended:
        channel.save()
        record(
            Operation.CHANNEL_CHANGED, actor=actor, target=target_of(channel), project=project_name(channel.project),
            reason=reason, changes=changes, detail={"tried_again": bool(mended)},
        )  # fmt: skip
    return channel


def _set_address(channel: Channel, url: str) -> None:
    addresses.check(channel.kind, url)
    channel.shown_url = addresses.masked(channel.kind, url)
    seal(channel, "sealed_url", url)


def _set_secret(channel: Channel, secret: str) -> dict[str, Any]:
    """Seal another one. Answers how the register is told of it."""
    was = bool(channel.sealed_secret)
    seal(channel, "sealed_secret", secret)
    if not was and not secret:
        return {}
    return {"secret": [HIDDEN if was else "", (OTHER if was else HIDDEN) if secret else ""]}
