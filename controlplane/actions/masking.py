"""What the register may tell of an engine's options: names always, values unless they may be secrets."""

from typing import Any

from controlplane.engine_secrets import HIDDEN, shown
from controlplane.engine_tls import fingerprints

OTHER = "••• (another one)"


def masked_args(args: dict[str, Any]) -> dict[str, Any]:
    """Engine flags; those that are named like a secret are hidden."""
    return shown(args)


def masked_env(variables: dict[str, str]) -> dict[str, str]:
    """Environment variables, all hidden: people hand tokens to engines this way, under any name."""
    return dict.fromkeys(variables, HIDDEN)


def masked_changes(changes: dict[str, Any]) -> dict[str, Any]:
    """field -> [before, after] with the secrets hidden; a hidden value that changed says that it did.

    Certificates are named by their fingerprints.
    """
    masked = {name: _pair(changes[name][0], changes[name][1], mask) for name, mask in _MASKS.items() if name in changes}
    return _named_certificates(changes | masked)


def _named_certificates(changes: dict[str, Any]) -> dict[str, Any]:
    if "tls_ca" not in changes:
        return changes
    return changes | {"tls_ca": [fingerprints(pem) for pem in changes["tls_ca"]]}


def _pair(before: dict[str, Any], after: dict[str, Any], mask: Any) -> list[dict[str, Any]]:
    told = mask(after)
    replaced = {
        name: OTHER
        for name, value in after.items()
        if told[name] == HIDDEN and name in before and before[name] != value
    }
    return [mask(before), told | replaced]


_MASKS = {"engine_args": masked_args, "engine_env": masked_env}
