"""What is abnormal: too much of one kind, by one actor, in a while. Pure; who counts and who answers stands above.

Rules look at what the register is about to be told. A threshold that is None switches its rule off.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from audit.operations import Operation


class Rule(StrEnum):
    """What is counted."""

    EXPORTS = "exports"
    ROWS_EXPORTED = "rows_exported"
    DELETIONS = "deletions"
    KEYS_REVOKED = "keys_revoked"
    BODY_READS = "body_reads"
    REFUSALS = "refusals"


class Threshold(NamedTuple):
    """At most so much in any window that long."""

    most: int
    window: timedelta


class Act(NamedTuple):
    """Something that was done, and how much it counts."""

    at: datetime
    weight: int


class Reason(StrEnum):
    """Why something goes on or does not."""

    NOT_WATCHED = "not_watched"
    WITHIN_THE_THRESHOLD = "within_the_threshold"
    TOO_MUCH = "too_much"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`count` is what the window would hold with the new act."""

    reason: Reason
    rule: Rule
    count: int
    threshold: Threshold | None

    @property
    def refused(self) -> bool:
        return self.reason is Reason.TOO_MUCH


OF_OPERATION: Mapping[Operation, Rule] = {
    Operation.EXPORT_REQUESTED: Rule.EXPORTS,
    Operation.EXPORT_DOWNLOADED: Rule.ROWS_EXPORTED,
    Operation.API_KEY_REVOKED: Rule.KEYS_REVOKED,
    Operation.BODY_READ: Rule.BODY_READS,
    Operation.BODIES_ERASED: Rule.DELETIONS,
    Operation.DEPLOYMENT_DELETED: Rule.DELETIONS,
    Operation.ROUTE_DELETED: Rule.DELETIONS,
    Operation.VERSION_RETIRED: Rule.DELETIONS,
    Operation.LIMIT_REMOVED: Rule.DELETIONS,
    Operation.ROLE_REVOKED: Rule.DELETIONS,
    Operation.TOKEN_REVOKED: Rule.DELETIONS,
    Operation.USER_DISABLED: Rule.DELETIONS,
    Operation.ALERT_RULE_DELETED: Rule.DELETIONS,
    Operation.CHANNEL_DELETED: Rule.DELETIONS,
}


def weight_of(rule: Rule, detail: Mapping[str, Any] | None) -> int:
    """How much an event counts: a fetched export as many as its rows, its other files nothing."""
    if rule is not Rule.ROWS_EXPORTED:
        return 1
    return int((detail or {}).get("rows", 0)) if (detail or {}).get("file") == "content" else 0


def decide(history: Iterable[Act], new: Act, rule: Rule, threshold: Threshold | None) -> Verdict:
    """May the new act be done, after those of the history?"""
    if threshold is None:
        return Verdict(Reason.NOT_WATCHED, rule, new.weight, None)
    begin = new.at - threshold.window
    count = new.weight + sum(act.weight for act in history if act.at > begin)
    too_much = count > threshold.most and new.weight > 0
    return Verdict(Reason.TOO_MUCH if too_much else Reason.WITHIN_THE_THRESHOLD, rule, count, threshold)
