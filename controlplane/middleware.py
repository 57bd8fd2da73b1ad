"""What every request of the console process goes through, besides Django's own."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from controlplane import actors, last_seen
from controlplane.access import scope

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
