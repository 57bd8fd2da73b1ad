"""Signing in with name and password, whichever door it is tried at: counted, and written down when it locks."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from django.utils import timezone

from controlplane import actors, attempts, sign_ins
from controlplane.models import User

LONGEST_PASSWORD = 1024  # a longer one is nobody's, and hashing it would only cost time


class PasswordBackend(ModelBackend):
    """Django's, behind the count of attempts. Raises `attempts.TooManyAttempts`, before any password is looked at."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if not username or password is None:
            return None
        address = actors.address_of(request) if request else None
        attempts.admit(username, address, timezone.now())
        user = None
        if len(password) <= LONGEST_PASSWORD:
            user = super().authenticate(request, username=username, password=password, **kwargs)
        if isinstance(user, User):
            attempts.succeeded(username, address)
            return user
        if locked := attempts.locks(username, address, timezone.now()):
            sign_ins.tell_lock_out(request, username, locked)
        return None
