"""What a transport promises: `notify` returns the vendor's answer once it took the message, else it raises."""

from dataclasses import dataclass, field
from typing import Any, Protocol

ANSWER_KEPT = 1_000
"""characters of a vendor's answer"""


class TransportError(Exception):
    """The message was not taken. `permanent`: the channel will refuse every other one too, so it is asked no more.

    `uncertain`: it may have been taken all the same.
    `refused`: this message alone will never be taken. Else it is worth another try, after `retry_after` seconds.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, refused: bool = False, uncertain: bool = False,
        retry_after: float | None = None,
        status_code: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.message = message[:ANSWER_KEPT]
        self.permanent = permanent
        self.refused = refused
        self.uncertain = uncertain
        self.retry_after = retry_after
        self.status_code = status_code


@dataclass(frozen=True)
class Address:
    """Where a channel sends. Shows nothing: both are secrets."""

    url: str = field(repr=False)
    secret: str = field(repr=False, default="")


@dataclass(frozen=True)
class Message:
    """What is sent: a title, its text in Markdown, and the same for machines."""

    title: str
    text: str
    alerts: list[dict[str, Any]] = field(default_factory=list)
    """as Alertmanager's webhook shows them"""
    firing: bool = True
    severity: str = "info"


@dataclass(frozen=True)
class Answer:
    """What the vendor said when it took the message."""

    status_code: int
    text: str


class Transport(Protocol):
    """One kind of channel."""

    most_bytes: int
    """what the text of one message may have, in UTF-8"""
    most_alerts: int

    def notify(self, address: Address, message: Message) -> Answer:
        """Send it. Raises `TransportError`."""
