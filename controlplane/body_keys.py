"""The key pairs that contents are encrypted to: one for each person and project, made when one is first needed."""

import base64
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from controlplane.models import ApiKey, BodyKey, Project
from controlplane.sealing import reveal, seal
from inference.contract import bodies


class Owner(NamedTuple):
    """Whose contents they are."""

    project: UUID
    person: str


def person_of(key: ApiKey) -> str:
    """Who answers for what is sent with the key: who made it."""
    return key.created_by or key.key_id


def published(keys: Iterable[ApiKey]) -> dict[Owner, str]:
    """What gateways are told for the keys' owners, as far as their projects keep contents; missing pairs are made."""
    owners = {
        Owner(key.project_id, person_of(key)): key.project
        for key in keys
        if key.project.register_mode in bodies.KEEPING
    }  # fmt: skip
    if not owners:
        return {}
    there = BodyKey.objects.filter(project__in={owner.project for owner in owners}, shredded_at=None)
    found = {Owner(pair.project_id, pair.person): pair for pair in there}
    for owner, project in owners.items():
        if owner not in found:
            found[owner] = _made(project, owner.person)
    return {owner: told(found[owner]) for owner in owners}


def _made(project: Project, person: str) -> BodyKey:
    """A new pair; somebody else's, if they were quicker."""
    private = bodies.new_private()
    pair = BodyKey(project=project, person=person, public=bodies.public_of(private))
    seal(pair, "private", base64.b64encode(private).decode())
    made, _ = BodyKey.objects.get_or_create(
        project=project, person=person, shredded_at=None,
        defaults={"id": pair.pk, "public": pair.public, "private": pair.private},
    )  # fmt: skip
    return made


def told(pair: BodyKey) -> str:
    """The public half, as gateways read it."""
    return str(bodies.BodyKey(str(pair.pk), bytes(pair.public)))


def private_of(pair: BodyKey) -> bytes:
    """Empty when it was shredded. Raises `Unopenable`."""
    return base64.b64decode(reveal(pair, "private"))
