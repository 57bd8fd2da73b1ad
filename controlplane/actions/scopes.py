"""What keys and projects may be restricted to and what is kept of them, checked and written in one way."""

import re
from collections.abc import Sequence
from ipaddress import ip_network

from django.utils.translation import gettext as _

from controlplane.errors import Invalid
from inference.contract import endpoints

_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9-]{1,63})*")
MOST_ENTRIES = 200


def networks(cidrs: Sequence[str] | None) -> list[str] | None:
    """Each as its network, sorted; None for none. Raises `Invalid`."""
    found = set()
    for cidr in cidrs or ():
        try:
            found.add(str(ip_network(cidr.strip(), strict=False)))
        except ValueError:
            message = _("%(value)s is no network: write 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32.")
            raise Invalid(message % {"value": cidr[:100]}, field="cidrs") from None
    _check_number(found, "cidrs")
    return sorted(found) or None


def endpoint_names(names: Sequence[str] | None) -> list[str] | None:
    """In the contract's order; None for none. Raises `Invalid`."""
    if unknown := sorted(set(names or ()) - set(endpoints.NAMES)):
        message = _("There is no endpoint %(name)s. There are: %(names)s.")
        known = ", ".join(endpoints.NAMES)
        raise Invalid(message % {"name": unknown[0][:100], "names": known}, field="endpoints")
    return [name for name in endpoints.NAMES if name in (names or ())] or None


def hosts(names: Sequence[str]) -> list[str]:
    """Host names in lower case, sorted; ``*.name`` stands for all below a name. Raises `Invalid`."""
    found = {name.strip().lower() for name in names}
    for name in sorted(found):
        if len(name) > 253 or not _HOST.fullmatch(name):
            message = _("%(value)s is no host name: write images.example.com or *.example.com.")
            raise Invalid(message % {"value": name[:100]}, field="media_hosts")
    _check_number(found, "media_hosts")
    return sorted(found)


def _check_number(found: set[str], field: str) -> None:
    if len(found) > MOST_ENTRIES:
        raise Invalid(_("At most %(most)s are allowed.") % {"most": MOST_ENTRIES}, field=field)
