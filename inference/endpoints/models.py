"""``GET /v1/models``: the models that a key may call, and nothing about others."""

from urllib.parse import unquote

import msgspec

from inference.auth import Principal, authorized_route, may_call
from inference.snapshot import Route
from inference.tables import Tables

PATH = "/v1/models"
_encode = msgspec.json.Encoder().encode


def list_models(tables: Tables, principal: Principal) -> bytes:
    """The list object of OpenAI's API, sorted by name."""
    routes = sorted(tables.snapshot.routes.values(), key=lambda route: route.name)
    return _encode({"object": "list", "data": [_model(route) for route in routes if may_call(principal, route)]})


def show_model(tables: Tables, principal: Principal, raw_path: bytes) -> bytes:
    """One model. Raises `UnknownModel` or `Forbidden`."""
    name = unquote(raw_path.decode("ascii").removeprefix(PATH + "/"))
    return _encode(_model(authorized_route(principal, tables, name)))


def _model(route: Route) -> dict[str, object]:
    return {
        "id": route.name,
        "object": "model",
        "created": route.created,
        "owned_by": route.project or "signalbox",
        "max_model_len": route.max_model_len,
    }
