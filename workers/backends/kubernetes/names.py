"""Names and labels of what is made in Kubernetes. Pure and deterministic: the same replica has the same names again."""

import hashlib
import re

LONGEST = 63
"""of an RFC 1123 label, which Services, pods' hosts and label values have to be"""
MANAGER = "signalbox"
"""the field manager of server-side apply, and the label that says whose an object is"""

MANAGED_BY = "app.kubernetes.io/managed-by"
DEPLOYMENT = "signalbox.dev/deployment"
REPLICA = "signalbox.dev/replica"
SPEC_HASH = "signalbox.dev/spec-hash"
"""a label with the first characters and an annotation with all of it"""
EPOCH = "signalbox.dev/epoch"

_PREFIX = "sb-"  # a Service's name must begin with a letter, a deployment's may begin with a digit
_HASH = 8


def object_name(name: str) -> str:
    """The name of what belongs to a replica or deployment. What had to be altered gets a hash, so that no two meet."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    room = LONGEST - len(_PREFIX)
    if plain and plain == name and len(plain) <= room:
        return _PREFIX + plain
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    return _PREFIX + f"{plain[: room - _HASH - 1].rstrip('-')}-{mark}".lstrip("-")


def short_hash(spec_hash: str) -> str:
    """As much of it as a label holds with ease."""
    return spec_hash[:16]
