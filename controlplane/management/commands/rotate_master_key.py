from typing import Any

from controlplane import actors
from controlplane.actions.rotate_master_key import rotate_master_key
from controlplane.management.command import Result, ScriptCommand


class Command(ScriptCommand):
    help = (
        "Wrap all sealed secrets under SIGNALBOX_MASTER_KEY, so that SIGNALBOX_MASTER_KEY_PREVIOUS is needed no more. "
        "May be broken off and repeated."
    )

    def answer(self, **_: Any) -> Result:
        done = rotate_master_key(actor=actors.command_line())
        text = f"{done.rewrapped} secrets were wrapped under the current master key."
        if done.lost:
            text += f" {len(done.lost)} cannot be opened, their master key is not set: {', '.join(done.lost[:5])}"
        else:
            text += " The previous one is needed no more."
        return Result(text, {"rewrapped": done.rewrapped, "lost": done.lost}, exit_status=1 if done.lost else 0)
