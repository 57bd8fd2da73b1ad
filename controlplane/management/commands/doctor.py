from typing import Any

from controlplane.doctor.findings import Level
from controlplane.doctor.round import go_round
from controlplane.management.command import Result, ScriptCommand


class Command(ScriptCommand):
    help = "Check the whole installation and say what to mend; status 1 when something fails."

    def answer(self, **_: Any) -> Result:
        findings = list(go_round())
        failed = any(finding.level == Level.FAIL for finding in findings)
        data = {"ok": not failed, "findings": [finding.as_dict() for finding in findings]}
        return Result("\n".join(map(str, findings)), data, exit_status=int(failed))
