"""What every answer of the console process tells browsers: to load nothing from elsewhere, to show it in no frame, to
keep no copy. Django's own middleware adds HSTS, nosniff, the referrer and the opener policy.
"""

from collections.abc import Callable, Mapping

from django.http import HttpRequest, HttpResponseBase

Handler = Callable[[HttpRequest], HttpResponseBase]


def _policy(directives: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())


# https://www.w3.org/TR/CSP3/. No page has a script or a style in its text, so neither nonces nor hashes are needed.
# 'unsafe-eval' is Alpine's, which Unfold's menus are made of: it compiles the expressions in its attributes.
PAGES = _policy({
    "default-src": "'none'",
    "script-src": "'self' 'unsafe-eval'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
})  # fmt: skip
# Whatever a browser makes of an answer that is no page, it loads nothing and runs nothing.
OTHERS = _policy({"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"})
HEADERS = {
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def response_headers_middleware(handle: Handler) -> Handler:
    """A view's own headers stay."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = handle(request)
        page = response.get("Content-Type", "").startswith("text/html")
        response.headers.setdefault("Content-Security-Policy", PAGES if page else OTHERS)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return middleware
