"""Engines that are only imagined: for tests, and for trying the control plane without any machine."""

from dataclasses import dataclass, field, replace

from workers.backends.base import ALONE, BackendError, Fence, Phase, ReplicaStatus
from workers.engines.spec import ReplicaSpec


@dataclass
class MemoryBackend:
    """Engines run at once and end when they are told to, unless `slow_to_stop`; `fail` makes every order fail."""

    slow_to_stop: bool = False
    fail: BackendError | None = None
    replicas: dict[str, ReplicaStatus] = field(default_factory=dict)
    starts: list[str] = field(default_factory=list)

    def apply(self, spec: ReplicaSpec, *, fence: Fence = ALONE) -> None:
        if self.fail:
            raise self.fail
        known = self.replicas.get(spec.name)
        if known is None or known.phase is Phase.EXITED:
            self.starts.append(spec.name)
            self.replicas[spec.name] = ReplicaStatus(
                name=spec.name, deployment=spec.deployment, phase=Phase.RUNNING, spec_hash=spec.spec_hash,
                url=f"http://{spec.name}.invalid:8000", pid=len(self.starts), started_at=float(len(self.starts)),
            )  # fmt: skip
        elif known.phase is Phase.RUNNING and known.spec_hash != spec.spec_hash:
            self.delete(spec.name)

    def delete(self, name: str, *, grace_seconds: float | None = None, fence: Fence = ALONE) -> None:
        if self.fail:
            raise self.fail
        known = self.replicas.get(name)
        if known is None or known.phase is Phase.EXITED:
            self.replicas.pop(name, None)
        elif self.slow_to_stop:
            self.replicas[name] = replace(known, phase=Phase.STOPPING, stop_ordered=True)
        else:
            self.replicas[name] = replace(known, phase=Phase.EXITED, stop_ordered=True, exit_code=0, pid=None)

    def observe(self) -> list[ReplicaStatus]:
        if self.fail:
            raise self.fail
        return list(self.replicas.values())

    def die(self, name: str, *, signal: int = 9, log_tail: str = "") -> None:
        """The engine ends by itself."""
        self.replicas[name] = replace(
            self.replicas[name], phase=Phase.EXITED, exit_signal=signal, pid=None, log_tail=log_tail
        )

    def finish_stopping(self) -> None:
        """What was told to stop has stopped."""
        for name, status in self.replicas.items():
            if status.phase is Phase.STOPPING:
                self.replicas[name] = replace(status, phase=Phase.EXITED, exit_code=0, pid=None)
