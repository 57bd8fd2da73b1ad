"""nginx with our file in front of a running gateway."""

from tests.inference.conftest import *  # noqa: F403 - the fixtures of a running gateway
from tests.nginx import nginx_for, tls  # noqa: F401
