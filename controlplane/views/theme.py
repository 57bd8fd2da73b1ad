"""The colours of the console as a stylesheet: Unfold would write them into each page, which the policy forbids."""

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe


@require_safe
@cache_control(public=True, max_age=3600)
def stylesheet(request: HttpRequest, colors: Mapping[str, Mapping[str, str]], border_radius: str) -> HttpResponse:
    """Custom properties on the root, as Unfold's own styles name them."""
    del request
    lines = [
        f"--color-{name}-{weight}: {value};" for name, weights in colors.items() for weight, value in weights.items()
    ]
    if border_radius:
        lines.append(f"--border-radius: {border_radius};")
    return HttpResponse(":root { " + " ".join(lines) + " }\n", content_type="text/css; charset=utf-8")
