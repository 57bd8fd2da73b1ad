"""What makes a rule whole beyond its fields: the metric knows the aggregation and can be narrowed to the scope."""

from django.utils.translation import gettext as _

from controlplane.actions.base import validate
from controlplane.alerting.metrics import METRICS, Aggregation
from controlplane.errors import Invalid
from controlplane.models import AlertRule


def check(rule: AlertRule) -> None:
    """Raise `Invalid`, or `Conflict` for a taken name."""
    validate(rule)
    metric = METRICS[rule.metric]
    if rule.aggregation not in metric.aggregations:
        known = ", ".join(Aggregation(it).value for it in metric.aggregations)
        raise Invalid(_("This metric knows: %(names)s.") % {"names": known}, field="aggregation")
    if rule.min_requests and not metric.counts_requests:
        message = _("This metric counts no requests: leave it at 0.")
        raise Invalid(message, field="min_requests", code="counts_no_requests")
    for scope in ("project", "route", "deployment"):
        if getattr(rule, f"{scope}_id") is not None and scope not in metric.scopes:
            raise Invalid(_("This metric cannot be narrowed to that."), field=scope, code="scope_unknown")
    _check_is_theirs(rule)


def _check_is_theirs(rule: AlertRule) -> None:
    """A project watches its own deployments, and its own traffic on the platform's routes."""
    if rule.project_id is None:
        return
    if rule.deployment and rule.deployment.project_id != rule.project_id:
        raise Invalid(_("There is no such deployment in this project."), field="deployment")
    if rule.route and rule.route.project_id not in {None, rule.project_id}:
        raise Invalid(_("There is no such route for this project."), field="route")
