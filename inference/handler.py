"""The story of a request: authenticate, admit, route, forward, account."""

from inference.accounting import Record, note_refusal
from inference.admission import Admission
from inference.auth import Authenticator, Principal, authorized_route
from inference.config import Config
from inference.endpoints.endpoint import Endpoint
from inference.errors import Forbidden, GatewayError, InternalError, Unauthenticated
from inference.forwarding import Passage, forward, relay
from inference.limits import Limiter
from inference.media import check_media
from inference.register import Register
from inference.request import Request
from inference.scopes import check_address, check_endpoint
from inference.tables import Tables
from inference.upstream import Upstream


class Gateway:
    """What all requests of a process share."""

    def __init__(
        self, config: Config, tables: Tables, register: Register, upstream: Upstream, limiter: Limiter
    ) -> None:
        self.config = config
        self.tables = tables
        self.register = register
        self.upstream = upstream
        self.limiter = limiter
        self.keys = Authenticator(tables, config.secret_key)
        self.admission = Admission(tables, limiter, register)


async def handle(gateway: Gateway, endpoint: Endpoint, request: Request) -> None:
    """Serve one call. Raises `GatewayError`; when `request.status` is set then, the client was told already."""
    principal: Principal | None = None
    if endpoint.id_header:
        request.extra_headers.append((endpoint.id_header, request.id.encode("ascii")))
    try:
        principal = gateway.keys.authenticate(request.token)
        check_address(principal, request.source_ip)
        check_endpoint(principal, endpoint.name)
        body = await request.body(gateway.config.body_bytes, gateway.config.body_seconds)
        call = endpoint.read(body)
        route = authorized_route(principal, gateway.tables, call.model)
        check_media(call, principal.media_hosts)
    except (Unauthenticated, Forbidden) as refusal:
        note_refusal(gateway.register, request, endpoint.operation, refusal, principal)
        raise
    request.route, request.project = route, principal.project
    with await gateway.admission.admit(request, principal, route, endpoint.operation, call) as admitted:
        record = Record(
            gateway.register, request, principal,
            operation=endpoint.operation, call=call, body=body, limits=admitted.detail,
            most_kept=gateway.config.kept_bytes,
        )  # fmt: skip
        admitted.watch(record)
        passage = Passage(endpoint, route, call, request, record)
        try:
            with await forward(gateway.upstream, passage) as reply:
                await relay(passage, reply)
        except GatewayError as error:
            if not record.closed:
                await record.fail(error)
            raise
        finally:
            request.usage = record.usage
            if not record.closed:  # cancelled, because the drain time is over
                record.close_failed(InternalError())
