"""The management API and the console, for what an action leads to there."""

import pytest
from django.test import Client as Browser

from controlplane.models import User
from tests.api.conftest import Client, client_of
from tests.console.conftest import browser_of


@pytest.fixture
def alice_api(alice_user: User) -> Client:
    return client_of(alice_user)


@pytest.fixture
def alice_console(alice_user: User) -> Browser:
    return browser_of(alice_user)
