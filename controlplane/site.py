"""The console's site and its left navigation."""

from unfold.sites import UnfoldAdminSite


class ConsoleSite(UnfoldAdminSite):
    """Django's admin in Unfold's clothes."""
