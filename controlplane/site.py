"""The console's site: signing out, one's own password, the left navigation, the pages that are no list of nouns."""

from typing import Any

from django.contrib.auth.views import LogoutView
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path, reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite

from controlplane.forms.sign_in import SignInForm
from controlplane.roles import Permission
from controlplane.views.theme import stylesheet


class ConsoleSite(UnfoldAdminSite):
    """Django's admin in Unfold's clothes."""

    index_title = _("Overview")
    index_template = "console/overview.html"
    login_template = "console/login.html"
    login_form = SignInForm
    enable_nav_sidebar = True

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Without the colours: they stand in `theme`."""
        context: dict[str, Any] = super().each_context(request)
        return context | {"colors": {}, "border_radius": ""}

    def theme(self, request: HttpRequest) -> HttpResponse:
        colors, radius = self._get_colors("COLORS", request), self._get_config("BORDER_RADIUS", request)
        return stylesheet(request, colors, radius or "")

    def extra_urls(self) -> list[URLPattern | URLResolver]:
        from controlplane import shown_once  # noqa: PLC0415
        from controlplane.views import bodies, overview, playground, seals  # noqa: PLC0415 - models are not loaded yet up there

        return [
            path("theme.css", self.theme, name="theme"),
            path("shown-once/<str:ticket>/", self.admin_view(shown_once.page), name="shown_once"),
            path("overview/live/", self.admin_view(overview.live), name="overview_live"),
            path("seals/", self.admin_view(seals.page), name="register_seals"),
            path("bodies/<uuid:event>/", self.admin_view(bodies.page), name="event_bodies"),
            path("playground/", self.admin_view(playground.page), name="playground"),
            path("playground/answer/", self.admin_view(playground.answer), name="playground_answer"),
        ]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """None: the navigation below is the list, and Django's would ask for the rights of every noun on every page."""
        del request, app_label
        return []

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        from controlplane.views.password import PasswordChange  # noqa: PLC0415

        context = {**self.each_context(request), **(extra_context or {})}
        return PasswordChange.as_view(extra_context=context)(request)

    @method_decorator(never_cache)
    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        del extra_context
        return LogoutView.as_view(next_page=reverse_lazy("admin:login"))(request)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The left navigation, in the order of the interfaces; what a person may not see is left out."""
    from controlplane.admin.base import may, may_somewhere  # noqa: PLC0415 - models are not loaded yet up there

    def item(
        title: Any, icon: str, view: str, needed: Permission | None = None, on_platform: bool = False
    ) -> dict[str, Any]:
        shown = needed is None or (may(request, needed, None) if on_platform else may_somewhere(request, needed))
        return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{view}"), "permission": lambda _: shown}

    P = Permission  # noqa: N806 - twelve lines below it
    sections: list[dict[str, Any]] = [
        {"items": [
            item(_("Overview"), "dashboard", "index"),
            item(_("Playground"), "forum", "playground", P.API_KEY_CREATE),
        ]},
        {"title": _("Serving"), "separator": True, "items": [
            item(_("Models"), "deployed_code", "controlplane_model_changelist", P.MODEL_READ),
            item(_("Deployments"), "dns", "controlplane_deployment_changelist", P.DEPLOYMENT_READ),
            item(_("Routes"), "alt_route", "controlplane_route_changelist", P.ROUTE_READ),
            item(_("Nodes"), "memory", "controlplane_node_changelist", P.NODE_READ, on_platform=True),
        ]},
        {"title": _("Watching"), "separator": True, "items": [
            item(_("Alerts"), "notifications", "controlplane_alert_changelist", P.ALERT_READ),
        ]},
        {"title": _("Access"), "separator": True, "items": [
            item(_("API keys"), "key", "controlplane_apikey_changelist", P.API_KEY_READ),
            item(_("Limits"), "speed", "controlplane_limit_changelist", P.LIMIT_READ),
            item(_("Usage"), "bar_chart", "controlplane_usage_changelist", P.USAGE_READ),
            item(_("Projects"), "workspaces", "controlplane_project_changelist", P.PROJECT_READ),
            item(_("Users & roles"), "group", "controlplane_user_changelist", P.USER_READ),
            item(_("Management tokens"), "token", "controlplane_managementtoken_changelist", P.TOKEN_READ),
        ]},
        {"title": _("Register"), "separator": True, "items": [
            item(_("Audit"), "history_edu", "audit_event_changelist", P.AUDIT_READ),
            item(_("Seals"), "verified", "register_seals", P.AUDIT_READ),
            item(_("Exports"), "download", "controlplane_export_changelist", P.AUDIT_EXPORT),
            item(_("Legal holds"), "gavel", "audit_hold_changelist", P.AUDIT_HOLD_READ, on_platform=True),
        ]},
    ]  # fmt: skip
    return [it for it in sections if any(entry["permission"](request) for entry in it["items"])]
