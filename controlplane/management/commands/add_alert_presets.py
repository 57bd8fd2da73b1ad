"""``manage.py add_alert_presets``: lay down the alert rules that ship and are not there, in an older instance."""

from typing import Any

from controlplane import actors
from controlplane.actions.add_alert_presets import add_alert_presets
from controlplane.management.command import Result, ScriptCommand


class Command(ScriptCommand):
    help = "Add the alert rules that ship and are not there."

    def answer(self, **_: Any) -> Result:
        made = [rule.name for rule in add_alert_presets(actor=actors.command_line())]
        return Result(str(len(made)), {"added": made})
