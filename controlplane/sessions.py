"""Where Django keeps the sessions of browsers: a dump of the database lets nobody in and shows nothing.

The row's key is a hash of the cookie, its content is encrypted under the cookie, and it hangs on the `UserSession` that
people see and end. A session that was ended is gone with the next request.
"""

import base64
import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from controlplane.models import BrowserSession, UserSession

USER_SESSION = "signalbox_session"
"""the session's entry that names the `UserSession`"""
NONCE_BYTES = 12


class SessionStore(SessionBase):
    """Django's interface; the async half of it is the base class's."""

    user_session: UserSession | None = None
    """what the request's session hangs on, once it was loaded; None for somebody who has not signed in"""

    if TYPE_CHECKING:  # of the base class, but not in its stubs

        def _get_new_session_key(self) -> str: ...
        def _get_or_create_session_key(self) -> str: ...
        def _get_session(self, no_load: bool = False) -> dict[str, Any]: ...

    def load(self) -> dict[str, Any]:
        key = self.session_key or ""
        live = BrowserSession.objects.filter(expire_date__gt=timezone.now(), user_session__ended_at=None)
        row = live.select_related("user_session").filter(pk=_row_key(key)).first()
        if row is None:
            self._session_key = None
            return {}
        self.user_session = row.user_session
        return self.decode(row.session_data)

    def exists(self, session_key: str) -> bool:
        return BrowserSession.objects.filter(pk=_row_key(session_key)).exists()

    def create(self) -> None:
        while True:
            self._session_key = self._get_new_session_key()
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            self.create()
            return
        content = self._get_session(no_load=must_create)
        values = {
            "session_data": self.encode(content),
            "expire_date": self.get_expiry_date(),
            "user_session_id": _id_of(content.get(USER_SESSION)),
        }
        key = _row_key(self.session_key)
        if must_create:
            _insert(BrowserSession(session_key=key, **values))
        elif not BrowserSession.objects.filter(pk=key).update(**values):
            raise UpdateError

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            BrowserSession.objects.filter(pk=_row_key(key)).delete()

    def flush(self) -> None:
        """Signing out, and whatever else throws a session away, ends what it hangs on."""
        if ended := _id_of(self.get(USER_SESSION)):
            UserSession.objects.filter(pk=ended).end(UserSession.End.SIGNED_OUT, timezone.now())
        self.user_session = None
        super().flush()

    def encode(self, session_dict: dict[str, Any]) -> str:
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._cipher().encrypt(nonce, json.dumps(session_dict).encode(), None)
        return base64.b64encode(nonce + sealed).decode()

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        """Empty for what was not written under this cookie, as with Django's own."""
        try:
            raw = base64.b64decode(session_data)
            content: dict[str, Any] = json.loads(self._cipher().decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None))
        except (InvalidTag, ValueError):
            return {}
        return content

    @classmethod
    def clear_expired(cls) -> None:
        BrowserSession.objects.filter(expire_date__lt=timezone.now()).delete()

    def _cipher(self) -> AESGCM:
        return AESGCM(
            hashlib.sha256(b"signalbox.session.content." + self._get_or_create_session_key().encode()).digest()
        )


def session_of(request: HttpRequest) -> UserSession | None:
    """The session that a page's request belongs to; None for somebody who has not signed in."""
    signed_in = request.user.is_authenticated  # which loads the session
    return request.session.user_session if signed_in and isinstance(request.session, SessionStore) else None


def _row_key(session_key: str) -> str:
    """The cookie carries 165 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(b"signalbox.session.row." + session_key.encode()).hexdigest()


def _id_of(text: str | None) -> UUID | None:
    return UUID(text) if text else None


def _insert(row: BrowserSession) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as exc:
        raise CreateError from exc
