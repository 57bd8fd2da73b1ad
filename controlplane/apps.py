from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ControlplaneConfig(AppConfig):
    name = "controlplane"
    verbose_name = _("Signalbox")

    def ready(self) -> None:
        from controlplane import sign_ins  # noqa: PLC0415 - the models are not loaded before

        sign_ins.watch()
