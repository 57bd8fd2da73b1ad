"""A route's rules and its affinity header: what may stand in them, written in one way."""

import re
from collections.abc import Mapping, Sequence

import msgspec
from django.utils.translation import gettext as _

from controlplane.errors import Invalid
from inference.contract import endpoints
from inference.contract.tables import RuleEntry

MOST_RULES = 50
MOST_VALUES = 50
LONGEST_HEADER = 64
LONGEST_VALUE = 256
LONGEST_PROMPT = 100_000_000
"""tokens; no context is that long"""

# https://www.rfc-editor.org/rfc/rfc9110#name-tokens
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII)
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?", re.ASCII)
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})

Weights = Mapping[str, int]
"""deployment -> weight, of a route's targets"""


def checked(rules: Sequence[RuleEntry], weights: Weights) -> list[RuleEntry]:
    """The rules as they are kept. Raises `Invalid` that names the rule by its number."""
    if len(rules) > MOST_RULES:
        raise Invalid(_("At most %(most)s are allowed.") % {"most": MOST_RULES}, field="rules")
    kept = [_checked(number, rule, weights) for number, rule in enumerate(rules, 1)]
    for number, rule in enumerate(kept[:-1], 1):
        if takes_everything(rule):
            _refuse(number + 1, _("it is never reached, because the one before it takes every request"))
    return kept


def takes_everything(rule: RuleEntry) -> bool:
    """True for a rule without conditions."""
    return not rule.endpoints and not rule.header and rule.prompt_tokens_from is None and rule.prompt_tokens_to is None


def stored(rules: Sequence[RuleEntry]) -> list[dict[str, object]]:
    """The rules as JSON reads them back."""
    return msgspec.json.decode(msgspec.json.encode(rules), type=list[dict[str, object]])


def read(rules: object) -> tuple[RuleEntry, ...]:
    """What `stored` gave. Raises `msgspec.ValidationError` for anything else."""
    return msgspec.convert(rules, tuple[RuleEntry, ...])


def checked_affinity(header: str) -> str:
    """The header's name in lower case; empty for none. Raises `Invalid`."""
    return _header_name(header.strip(), field="affinity_header") if header.strip() else ""


def _checked(number: int, rule: RuleEntry, weights: Weights) -> RuleEntry:
    _check_deployments(number, rule, weights)
    _check_lengths(number, rule.prompt_tokens_from, rule.prompt_tokens_to)
    if unknown := sorted(set(rule.endpoints) - set(endpoints.NAMES)):
        known = ", ".join(endpoints.NAMES)
        _refuse(number, _("there is no endpoint %(name)s; there are %(names)s") % {"name": unknown[0], "names": known})
    return msgspec.structs.replace(
        rule,
        deployments=tuple(dict.fromkeys(rule.deployments)),
        endpoints=tuple(name for name in endpoints.NAMES if name in rule.endpoints),
        header=_rule_header(number, rule),
        header_values=tuple(dict.fromkeys(value.strip() for value in rule.header_values)),
    )


def _check_deployments(number: int, rule: RuleEntry, weights: Weights) -> None:
    if not rule.deployments:
        _refuse(number, _("say which deployments its requests go to"))
    for name in rule.deployments:
        if name not in weights:
            _refuse(number, _("%(name)s is no target of this route") % {"name": name})
    if not rule.fallback and not any(weights[name] for name in rule.deployments):
        _refuse(number, _("none of its deployments has a weight above 0, so its requests would all get 503"))


def _check_lengths(number: int, least: int | None, end: int | None) -> None:
    for length in (least, end):
        if length is not None and not 1 <= length <= LONGEST_PROMPT:
            _refuse(number, _("a prompt's length lies between 1 and %(most)s tokens") % {"most": LONGEST_PROMPT})
    if least is not None and end is not None and least >= end:
        _refuse(
            number, _("no prompt has at least %(least)s and less than %(end)s tokens") % {"least": least, "end": end}
        )


def _rule_header(number: int, rule: RuleEntry) -> str:
    if not rule.header:
        if rule.header_values:
            _refuse(number, _("give the name of the header that has these values"))
        return ""
    if len(rule.header_values) > MOST_VALUES:
        _refuse(number, _("a header has at most %(most)s values") % {"most": MOST_VALUES})
    for value in rule.header_values:
        if len(value) > LONGEST_VALUE or not _VALUE.fullmatch(value.strip()):
            _refuse(number, _("a header's value is up to %(most)s visible ASCII characters") % {"most": LONGEST_VALUE})
    try:
        name = _header_name(rule.header.strip(), field="rules")
    except Invalid as exc:
        raise Invalid(_about(number, exc.message.rstrip(".。")), field="rules") from None
    if name in _CREDENTIALS:
        _refuse(number, _("%(name)s carries credentials, which belong in no rule") % {"name": name})
    return name


def _header_name(name: str, *, field: str) -> str:
    name = name.lower()
    if len(name) > LONGEST_HEADER or not _TOKEN.fullmatch(name):
        raise Invalid(_("%(value)s is no header name: write x-session-id.") % {"value": name[:100]}, field=field)
    return name


def _refuse(number: int, why: str) -> None:
    raise Invalid(_about(number, why), field="rules")


def _about(number: int, why: str) -> str:
    return _("Rule %(number)s: %(why)s.") % {"number": number, "why": why}
