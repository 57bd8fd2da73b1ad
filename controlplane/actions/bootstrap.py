"""What an instance needs before anybody can sign in: a project, an administrator, a token and a key."""

import secrets
from collections.abc import Mapping

from django.conf import settings
from django.db import transaction

from audit.record import Actor
from controlplane import tokens
from controlplane.access.owners import owners
from controlplane.actions.add_alert_presets import add_alert_presets
from controlplane.actions.create_api_key import create_api_key
from controlplane.actions.create_project import create_project
from controlplane.actions.create_token import create_token
from controlplane.actions.create_user import create_user
from controlplane.actions.issue_password import issue_password
from controlplane.models import ApiKey, ManagementToken, Project, User
from inference.contract import keys

PROJECT = "default"
ADMIN = "admin"
REASON = "the instance's own credentials"


@transaction.atomic
def bootstrap(known: Mapping[str, str], *, actor: Actor) -> dict[str, str]:
    """The credentials of the instance: those of `known` that still hold, new ones for those that are lost.

    Keys are ``SIGNALBOX_ADMIN_USER``, ``_ADMIN_PASSWORD``, ``_ADMIN_TOKEN`` and ``_API_KEY``. A password that its owner
    has changed is neither known nor replaced. Without an ``admin`` (there are other owners) its three are empty.
    """
    project = Project.objects.filter(name=PROJECT).first() or _first_project(actor)
    user, password = _admin(known.get("SIGNALBOX_ADMIN_PASSWORD", ""), actor)
    return {
        "SIGNALBOX_ADMIN_USER": user.username if user else "",
        "SIGNALBOX_ADMIN_PASSWORD": password,
        "SIGNALBOX_ADMIN_TOKEN": _token(user, known.get("SIGNALBOX_ADMIN_TOKEN", ""), actor) if user else "",
        "SIGNALBOX_API_KEY": _api_key(project, known.get("SIGNALBOX_API_KEY", ""), actor),
    }


def _first_project(actor: Actor) -> Project:
    """With it, once, come the alert rules that ship; whoever deletes one does not find it again."""
    add_alert_presets(actor=actor, reason=REASON)
    return create_project(name=PROJECT, title="Default", actor=actor, reason=REASON)


def _admin(known_password: str, actor: Actor) -> tuple[User | None, str]:
    user = owners().filter(username=ADMIN).first()
    if user is None and owners().exists():
        return None, ""
    password = secrets.token_urlsafe(15)
    if user is None:
        return create_user(username=ADMIN, password=password, superuser=True, actor=actor, reason=REASON), password
    if known_password or not user.must_change_password:
        return user, known_password
    return issue_password(user, password=password, actor=actor, reason=REASON), password


def _token(user: User, known: str, actor: Actor) -> str:
    if ManagementToken.objects.filter(digest=tokens.digest(known), user=user).usable().exists():
        return known
    return create_token(user, name="make up", actor=actor, reason=REASON).token


def _api_key(project: Project, known: str, actor: Actor) -> str:
    digest = keys.digest(known, keys.pepper(settings.SECRET_KEY))
    if ApiKey.objects.filter(digest=digest).usable().exists():
        return known
    return create_api_key(project=project, name="make up", actor=actor, reason=REASON).token
