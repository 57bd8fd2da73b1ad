"""Whether an engine moves on, by what was heard from it. Pure: time comes in as an argument.

A health check does not show it: the server in front of a hung engine still answers. What shows it are the bytes of its
answers, and the counters in its metrics that move with each step. An engine is

- *stalled* if its metrics answer and say that there is work, or we know of some, and for some seconds no counter moved
  and no byte came. The step alone stands still, as in a deadlock of its GPUs.
- *deaf* if not even its metrics answer, more than once in a row, and for some seconds no byte came.

An engine that answers, but whose metrics tell no steps, is neither: it may just be slow, and nothing else can be known
of it. One that has never said a word, to nobody's question, is deaf like any other.
"""

from enum import StrEnum

import msgspec

from inference.engine_metrics import Sample

DEAF_POLLS = 2
"""polls in a row without an answer"""


class Verdict(StrEnum):
    ALIVE = "alive"
    STALLED = "stalled"
    DEAF = "deaf"


class Pulse(msgspec.Struct):
    """One engine as this process knows it. Times are seconds of one monotonic clock."""

    alive_at: float
    """the last sign of life, or the last moment at which none was due"""
    answered_at: float = 0.0
    """by the metrics"""
    unanswered: int = 0
    """polls in a row"""
    sample: Sample | None = None
    """the last that was told; None if none ever was"""
    spoke: bool = False
    """some byte of an answer has come, ever"""
    verdict: Verdict = Verdict.ALIVE
    """as it was last judged"""

    def heard(self, at: float) -> None:
        """The last byte of an answer came then; 0: never one."""
        if at:
            self.spoke = True
            self.alive_at = max(self.alive_at, at)

    def answered(self, sample: Sample, now: float) -> bool:
        """A poll was answered. Returns whether the engine has made a step since the one before.

        It is a sign of life if it has, or if it was deaf or never heard of until now.
        """
        stepped = self.sample is not None and sample.steps != self.sample.steps
        if stepped or self.sample is None or self.verdict is Verdict.DEAF:
            self.alive_at = now
        self.sample, self.answered_at, self.unanswered = sample, now, 0
        return stepped

    def ignored(self) -> None:
        """A poll was not answered."""
        self.unanswered += 1

    def pardon(self, seconds: float) -> None:
        """For so long nobody looked: it does not count as silence."""
        self.alive_at += seconds

    def judge(self, now: float, *, in_flight: int, patience: float) -> Verdict:
        """What it is now, after `patience` seconds of silence. `in_flight` are our own requests there."""
        if not self.unanswered and not in_flight and not (self.sample and self.sample.working):
            self.alive_at = max(self.alive_at, now)  # no sign is due where there is nothing to do
        self.verdict = self._judge(now, patience)
        return self.verdict

    def _judge(self, now: float, patience: float) -> Verdict:
        if self.spoke if self.sample is None else not self.sample.steps:
            return Verdict.ALIVE
        if self.unanswered >= DEAF_POLLS and now - self.alive_at >= patience:
            return Verdict.DEAF
        # Only what the metrics have confirmed counts: between two polls the engine may have moved.
        return Verdict.STALLED if self.answered_at - self.alive_at >= patience else Verdict.ALIVE
