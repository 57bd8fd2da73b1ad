"""Which limits apply to a request."""

from inference.contract.limits import PLATFORM, LimitEntry, LimitTable

Limits = tuple[LimitEntry, ...]


class LimitBook:
    """A `LimitTable` made ready for look-ups. Immutable: a new table makes a new book."""

    def __init__(self, table: LimitTable | None = None) -> None:
        self.prices = table.prices if table else {}
        """of model versions; of those that have none, tokens cost nothing"""
        self._entries = {(e.project, e.route, e.shared): e for e in (table.limits if table else ())}

    def applying(self, project: str, route: str, *, owner: str | None = None, key_limits: Limits = ()) -> Limits:
        """The limits on key, key × route, project, project × route and route, in that order.

        `owner` is the route's own project, None for a route of all; `key_limits` come with the key.
        """
        if not self._entries and not key_limits:
            return ()
        found = [entry for entry in key_limits if entry.route in {"", route}]
        names = (project, "", False), (project, route, False), (owner or PLATFORM, route, True)
        found += [self._entries[name] for name in names if name in self._entries]
        return tuple(found)
