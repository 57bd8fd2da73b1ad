"""A route's rules and time-outs, as people read them."""

from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from controlplane import route_rules, route_timeouts
from controlplane.models import Route
from inference.contract.tables import RuleEntry


class RuleShown(NamedTuple):
    conditions: list[str]
    """all of them must be so; none: every request"""
    deployments: list[str]
    otherwise: str
    """what happens while none of the deployments is healthy"""


def rules_shown(route: Route) -> list[RuleShown]:
    """The rules in their order."""
    return [
        RuleShown(
            conditions=[*_conditions(rule)] or [_("every request")],
            deployments=list(rule.deployments),
            otherwise=_("other targets take over") if rule.fallback else "503",
        )
        for rule in route_rules.read(route.rules)
    ]


def timeouts_shown(route: Route) -> str:
    """Those that the route has of its own."""
    names = {"connect": _("connect"), "first_byte": _("first byte"), "chunk": _("between chunks"), "total": _("total")}
    own = route_timeouts.stored(route_timeouts.read(route.timeouts))
    return _(", ").join(_("%(name)s %(seconds)s s") % {"name": names[it], "seconds": f"{own[it]:g}"} for it in own)


def _conditions(rule: RuleEntry) -> Any:
    if rule.endpoints:
        yield _("endpoint %(names)s") % {"names": _(", ").join(rule.endpoints)}
    least, end = rule.prompt_tokens_from, rule.prompt_tokens_to
    if least is not None and end is not None:
        yield _("prompt of %(least)s to less than %(end)s tokens") % {"least": f"{least:,}", "end": f"{end:,}"}
    elif least is not None:
        yield _("prompt of %(least)s tokens or more") % {"least": f"{least:,}"}
    elif end is not None:
        yield _("prompt of less than %(end)s tokens") % {"end": f"{end:,}"}
    if rule.header_values:
        yield _("header %(name)s is %(values)s") % {"name": rule.header, "values": _(" or ").join(rule.header_values)}
    elif rule.header:
        yield _("header %(name)s is there") % {"name": rule.header}
