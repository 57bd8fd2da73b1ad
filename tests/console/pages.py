"""Paths of the console, and what an answer shows."""

from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from pytest import fail  # noqa: PT013 - a plain function


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:{name}", args=args)


def text(response: Any) -> str:
    """The page, whatever its status."""
    return bytes(response.content).decode()


def errors(response: HttpResponse) -> dict[str, list[str]]:
    """Field -> messages of the form on the page; "" for those above it."""
    form = response.context["form"]  # type: ignore[attr-defined]
    return {"" if field == "__all__" else field: list(found) for field, found in form.errors.items()}


def shown_once(response: Any) -> Any:
    """The page that a form leads to which made a secret."""
    if response.status_code != 302:
        fail(text(response))
    return response.client.get(response["Location"])


def secret(response: Any) -> str:
    """What is shown once."""
    return str(shown_once(response).context["secret"])
