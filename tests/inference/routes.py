"""Routes for the tests of routing."""

from collections.abc import Sequence

from inference import snapshot
from inference.contract.tables import ReplicaEntry, RouteEntry, RouteTable, RuleEntry, TargetEntry


def make_route(*targets: tuple[int, int], rules: Sequence[RuleEntry] = (), affinity_header: str = "") -> snapshot.Route:
    """A route with a target for each (weight, number of replicas): ``d0`` with ``d0-0``, ``d0-1`` and so on."""
    entries = tuple(
        TargetEntry(
            f"d{t}", weight, "m", "m:1", "m", tuple(ReplicaEntry(f"d{t}-{r}", f"http://h{t}:{r + 1}") for r in range(n))
        )
        for t, (weight, n) in enumerate(targets)
    )
    entry = RouteEntry("r", None, 1, None, entries, tuple(rules), affinity_header)
    return snapshot.build(RouteTable((entry,))).routes["r"]
