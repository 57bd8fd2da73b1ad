"""What an engine is told to be."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ReplicaSpec:
    """One engine as desired. `engine_key` is a secret and is never written down."""

    name: str
    deployment: str
    flavour: str
    source: str
    served_name: str
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    engine_env: Mapping[str, str] = field(default_factory=dict)
    max_model_len: int | None = None
    drain_seconds: int = 30
    external_url: str = ""
    engine_key: str = field(default="", repr=False)
    kubernetes: Mapping[str, Any] | None = None
    """options of its pod (`controlplane.kubernetes_options`); None for one that is no pod"""

    @property
    def spec_hash(self) -> str:
        """Changes whenever a running engine would have to be replaced; not for what can change under it."""
        parts = [
            self.name, self.flavour, self.source, self.served_name, dict(self.engine_args), dict(self.engine_env),
            self.max_model_len, self.external_url,
            # An engine of ours is told its key when it starts; an external one goes on whatever we send.
            hashlib.sha256(b"" if self.external_url else self.engine_key.encode()).hexdigest(),
        ]  # fmt: skip
        if self.kubernetes is not None:  # the drain time stands in the pod
            parts += [dict(self.kubernetes), self.drain_seconds]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
