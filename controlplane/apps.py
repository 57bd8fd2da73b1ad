from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class ControlplaneConfig(AppConfig):
    name = "controlplane"
    verbose_name = _("Signalbox")

    def ready(self) -> None:
        from controlplane import database_rights, sign_ins  # noqa: PLC0415 - the models are not loaded before

        post_migrate.connect(database_rights.grant, sender=self, dispatch_uid="signalbox.rights")
        sign_ins.watch()
