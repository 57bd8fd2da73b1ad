"""Clients of the management API: one for each of the cast."""

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from controlplane import tokens
from controlplane.models import ManagementToken, User


class Client(APIClient):
    """Paths are given below ``/api/v1``."""

    def generic(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        return super().generic(
            method, path if path.startswith(("/api/", "http")) else f"/api/v1{path}", *args, **kwargs
        )

    def get(self, path: str, *args: Any, **kwargs: Any) -> Any:
        return super().get(path if path.startswith(("/api/", "http")) else f"/api/v1{path}", *args, **kwargs)


def client_of(user: User) -> Client:
    token = tokens.generate(tokens.MANAGEMENT).token
    ManagementToken.objects.create(
        user=user, name="test", digest=tokens.digest(token), last_used_at=timezone.now()
    )  # fmt: skip
    return Client(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def alice_api(alice_user: User) -> Client:
    return client_of(alice_user)


@pytest.fixture
def bob_api(bob_user: User) -> Client:
    return client_of(bob_user)


@pytest.fixture
def vera_api(vera_user: User) -> Client:
    return client_of(vera_user)


@pytest.fixture
def audrey_api(audrey_user: User) -> Client:
    return client_of(audrey_user)


@pytest.fixture
def charlie_api(charlie_user: User) -> Client:
    return client_of(charlie_user)


@pytest.fixture
def anonymous_api(db: None) -> Client:
    return Client()
