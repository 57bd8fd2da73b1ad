"""What is no path of the API."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt

from controlplane.api.problems import not_found


@csrf_exempt
def unknown(request: HttpRequest, rest: str) -> HttpResponseBase:
    """404 as problem+json. A path with a slash too many is answered as if it had none."""
    if rest.endswith("/"):
        found: Any = _resolve(request.path_info.rstrip("/"))
        if found and found.func is not unknown:
            answer: HttpResponseBase = found.func(request, *found.args, **found.kwargs)
            return answer
    return not_found(request, Http404())


def _resolve(path: str) -> Any:
    try:
        return resolve(path)
    except Resolver404:
        return None
