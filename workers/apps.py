from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"

    def ready(self) -> None:
        from controlplane import preview  # noqa: PLC0415 - models are there only now
        from workers import (  # noqa: PLC0415
            sources,
            triggers,  # noqa: F401 - connects the signal receivers
        )
        from workers.preview import preview as previewer  # noqa: PLC0415

        preview.register(previewer)
        sources.register()
