from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from audit.operations import Operation
from audit.record import Actor, record
from controlplane.actions.base import project_name, target_of, validate
from controlplane.errors import Invalid
from controlplane.models import AlertRule, Deployment, Project, Silence
from controlplane.permissions import Permission, require

LONGEST = timedelta(days=90)


@transaction.atomic
def create_silence(
    *,
    project: Project | None = None,
    rule: AlertRule | None = None,
    deployment: Deployment | None = None,
    starts_at: datetime,
    ends_at: datetime,
    comment: str,
    actor: Actor,
    reason: str = "",
) -> Silence:
    """Tell nobody of alerts for a while: those of a rule, of a deployment, or all of the project or platform.

    Alerts go on meanwhile, and one that is still firing at the end is told then.
    """
    require(actor, Permission.SILENCE_CREATE, project)
    for name, thing in (("rule", rule), ("deployment", deployment)):
        if project is not None and thing is not None and thing.project_id not in {None, project.pk}:
            raise Invalid(_("That is not in this project."), field=name)
    if ends_at - starts_at > LONGEST:
        raise Invalid(_("At most %(days)d days: whoever silences for ever forgets.") % {"days": LONGEST.days},
                      field="ends_at")  # fmt: skip
    silence = Silence(
        project=project, rule=rule, deployment=deployment, starts_at=starts_at, ends_at=ends_at, comment=comment,
        created_by=actor.name,
    )  # fmt: skip
    if ends_at <= starts_at:
        raise Invalid(_("It has to end after it starts."), field="ends_at")
    validate(silence)
    silence.save()
    record(
        Operation.SILENCE_CREATED, actor=actor, target=target_of(silence), project=project_name(project),
        reason=reason,
        detail={"from": starts_at.isoformat(), "until": ends_at.isoformat(), "rule": str(rule or ""),
                "deployment": str(deployment or "")},
    )  # fmt: skip
    return silence
