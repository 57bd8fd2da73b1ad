"""What is passed from gathering to evaluating: what a value is of, and the value."""

from typing import NamedTuple
from uuid import UUID


class Subject(NamedTuple):
    """What one value is of. `key` is stable and names it within its kind."""

    kind: str
    key: str
    name: str
    project: UUID | None = None
    route: UUID | None = None
    deployment: UUID | None = None


class Seen(NamedTuple):
    """A subject now. A value of None: it is there, and nothing happened that could be judged."""

    subject: Subject
    value: float | None


class Question(NamedTuple):
    """What is asked of the samples or tables: rules that share it share the answer.

    `project` and `deployment` narrow what is counted, by name, for metrics that are told by caller.
    """

    metric: str
    aggregation: str
    window_seconds: int
    project: str = ""
    deployment: str = ""
    min_requests: int = 0
    """fewer in the window are not judged"""


class Unanswered(Exception):
    """A question cannot be answered now; the message says why."""
