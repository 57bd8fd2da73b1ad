"""The console's ASGI application: ``uvicorn config.asgi:application``."""

import gc
import os
from typing import Any

from django.core.asgi import get_asgi_application
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from controlplane.kept_threads import KeptThreads

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

_django: Any = KeptThreads(get_asgi_application())  # its annotations are narrower than ASGI's

from django.conf import settings  # noqa: E402 - Django is set up above
from django.urls import get_resolver  # noqa: E402

from controlplane.body_cap import BodyCap  # noqa: E402

# uvicorn itself believes whoever calls from this machine; started with --no-proxy-headers it leaves that to us.
_capped: Any = BodyCap(_django, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
application = ProxyHeadersMiddleware(_capped, settings.TRUSTED_PROXIES)

# Everything that requests need is loaded now and not by the first of them. It stays, so the garbage collector need not
# walk through it again and again: that took a quarter of a second now and then.
get_resolver().url_patterns  # noqa: B018
gc.collect()
gc.freeze()
