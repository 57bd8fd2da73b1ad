"""Settings, URLs, ASGI, Celery and this machine's processes: the only place where everything meets."""
