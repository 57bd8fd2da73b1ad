"""What every request of the console process goes through, besides Django's own."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from audit.record import Actor
from controlplane import actors, guard, last_seen
from controlplane.access import scope
from controlplane.access.asking import standing_in
from controlplane.access.standing import standing_of
from controlplane.actions.suspend_actor import suspend_actor
from controlplane.roles import Permission, reach

Handler = Callable[[HttpRequest], HttpResponseBase]


def request_id_middleware(handle: Handler) -> Handler:
    """Every answer carries ``X-Request-ID``, the one that the register has."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        request_id = actors.request_id(request)
        response = handle(request)
        response["X-Request-ID"] = request_id
        return response

    return middleware


def one_time_password_middleware(handle: Handler) -> Handler:
    """Until a one-time password is replaced, the console shows only the page that replaces it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if _must_change_first(request):
            if request.method == "GET":
                return redirect("admin:password_change")
            return HttpResponse(status=403)
        return handle(request)

    return middleware


def scope_middleware(handle: Handler) -> Handler:
    """The database shows a request nothing of any project until it knows who asks."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        with scope.of_request(request):
            return handle(request)

    return middleware


def suspension_middleware(handle: Handler) -> Handler:
    """Who is suspended is shown why on every page of the console; the API says so itself. Only the way out is open."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        console = reverse("admin:index")
        ways_out = {reverse(f"admin:{name}") for name in ("logout", "jsi18n", "theme")}
        if request.path.startswith(console) and request.path not in ways_out and request.user.is_authenticated:
            until = standing_in(request).suspended_until
            if until:
                return render(request, "console/suspended.html", {"until": until}, status=403)
        return handle(request)

    return middleware


def refusals_middleware(handle: Handler) -> Handler:
    """Count who is turned away again and again; who owns the platform may see everything and looks for nothing."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = handle(request)
        if response.status_code in {403, 404} and getattr(request, "user", None) and request.user.is_authenticated:
            actor = actors.from_request(request, source="ui")
            if not _owns(request, actor):
                verdict = guard.count_refusal(actor, timezone.now())
                if verdict.refused:
                    suspend_actor(actor, verdict=verdict)
        return response

    return middleware


def _owns(request: HttpRequest, actor: Actor) -> bool:
    _who, standing = request.__dict__.get("signalbox_standing", (None, None))
    return reach(standing or standing_of(actor), Permission.USER_CHANGE).everything


def last_seen_middleware(handle: Handler) -> Handler:
    """Note now and then that the session of whoever asked is in use."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = handle(request)
        session = getattr(request.session, "user_session", None)
        if session is not None:
            last_seen.of_session(session, actors.address_of(request), timezone.now())
        return response

    return middleware


def _must_change_first(request: HttpRequest) -> bool:
    console = reverse("admin:index")
    if not request.path.startswith(console) or not getattr(request.user, "must_change_password", False):
        return False
    allowed = {reverse(f"admin:{name}") for name in ("password_change", "logout", "jsi18n", "theme")}
    return request.path not in allowed
