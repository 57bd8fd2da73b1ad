"""How much of the register a request may see: `settings.REGISTER_REACH`."""

from typing import Any

from controlplane.access.asking import standing_in
from controlplane.roles import Permission, reach


def register_reach(request: Any) -> frozenset[str] | None:
    """Names of the projects whose entries may be read; None: of all, and the platform's own."""
    held = reach(standing_in(request), Permission.AUDIT_READ)
    return None if held.everything else held.names


def may_export(request: Any) -> bool:
    """`settings.REGISTER_EXPORT`: whether whoever asks may order an export of any of it."""
    return bool(reach(standing_in(request), Permission.AUDIT_EXPORT))
