"""The gateway: the data plane that users' traffic passes through. No Django, no ORM, no Celery."""
