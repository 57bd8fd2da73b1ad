"""The tokens that this side gives out: recognisable by secret scanners, checkable offline, stored as SHA-256 only.

    sbm_…  management token: a bearer of the management API
    sbr_…  refresh token: good for one access token and the next refresh token

Both have the form of API keys (`inference.contract.keys`) and carry 256 random bits, so a plain hash is enough.
"""

import hashlib
import re

from inference.contract import keys

MANAGEMENT = "sbm"
REFRESH = "sbr"

# Management tokens had no id and no checksum once; those that were given out go on working.
_FIRST_FORM = re.compile(r"sbm_[A-Za-z0-9_-]{43}", re.ASCII)


def generate(kind: str) -> keys.ParsedKey:
    """A new token; `id` is public, `token` is shown once."""
    return keys.generate(prefix=kind)


def is_management_token(text: str) -> bool:
    """Whether it is worth a look-up."""
    return bool(keys.parse(text, MANAGEMENT) or _FIRST_FORM.fullmatch(text))


def is_refresh_token(text: str) -> bool:
    return keys.parse(text, REFRESH) is not None


def digest(text: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(text.encode()).hexdigest()
