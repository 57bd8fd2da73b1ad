from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"

    def ready(self) -> None:
        from workers import triggers  # noqa: F401, PLC0415 - connects the signal receivers
