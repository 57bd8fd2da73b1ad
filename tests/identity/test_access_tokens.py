"""Access tokens: ours are let in for ten minutes; whatever else anybody makes of them is 401 and never breaks."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from audit.models import Event
from controlplane import access_tokens
from controlplane.access_tokens import LIFETIME, BadAccessToken, Signer, key_id
from controlplane.models import User, UserSession
from tests import factories
from tests.api.conftest import Client

SEED, OLD = secrets.token_bytes(32), secrets.token_bytes(32)
PRIVATE = Ed25519PrivateKey.from_private_bytes(SEED)
SIGNER = Signer("https://signalbox.example", SEED)
HEADER = {"typ": access_tokens.TYPE, "kid": key_id(PRIVATE.public_key())}
PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
RAW = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def good() -> dict[str, Any]:
    """Claims as ours, made now: a whole suite takes longer than a token lives."""
    now = timezone.now()
    return {
        "iss": "https://signalbox.example", "aud": access_tokens.AUDIENCE, "sub": "1", "sid": str(uuid4()),
        "jti": str(uuid4()), "iat": now, "nbf": now, "exp": now + LIFETIME,
    }  # fmt: skip


def signed(changes: dict[str, Any] | None = None, header: dict[str, Any] | None = None, key: Any = PRIVATE) -> str:
    """A token as ours, but for what is changed; None takes a claim away."""
    claims = {name: value for name, value in {**good(), **(changes or {})}.items() if value is not None}
    return jwt.encode(claims, key, "EdDSA", headers={**HEADER, **(header or {})})


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value, default=lambda at: int(at.timestamp())).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def with_algorithm(name: str, key: bytes = b"") -> str:
    """What a library that believes the header would take: no signature, or an HMAC with our public key."""
    body = f"{part({**HEADER, 'alg': name})}.{part(good())}"
    signature = hmac.new(key, body.encode(), hashlib.sha256).digest() if key else b""
    return f"{body}.{part(signature)}"


def hostile() -> dict[str, str]:
    """What must not pass, by what is wrong with it, and with nothing else."""
    now, ours = timezone.now(), signed()
    rest = ours.split(".", 1)[1]
    return {
        "algorithm none": with_algorithm("none"),
        "algorithm None": with_algorithm("None"),
        "algorithm empty": with_algorithm(""),
        "HMAC with the public key in PEM": with_algorithm("HS256", PEM),
        "HMAC with the public key's bytes": with_algorithm("HS256", RAW),
        "EdDSA said, HMAC made": with_algorithm("EdDSA", RAW),
        "signed by somebody else": signed(key=Ed25519PrivateKey.generate()),
        "another issuer": signed({"iss": "https://elsewhere.example"}),
        "no issuer": signed({"iss": None}),
        "another audience": signed({"aud": "somebody-else"}),
        "several audiences": signed({"aud": [access_tokens.AUDIENCE, "somebody-else"]}),
        "no audience": signed({"aud": None}),
        "not yet": signed({"nbf": now + timedelta(hours=1)}),
        "issued tomorrow": signed({"iat": now + timedelta(days=1)}),
        "expired": signed({"iat": now - 2 * LIFETIME, "nbf": now - 2 * LIFETIME, "exp": now - LIFETIME}),
        "no expiry": signed({"exp": None}),
        "expiry is no number": signed({"exp": "soon"}),
        "a year's life": signed({"exp": now + timedelta(days=365)}),
        "expiry without end": signed({"exp": 10**400}),
        "no jti": signed({"jti": None}),
        "no subject": signed({"sub": None}),
        "subject is no number": signed({"sub": "alice"}),
        "no session": signed({"sid": None}),
        "session is no id": signed({"sid": "1 OR 1=1"}),
        "session is a list": signed({"sid": ["x"]}),
        "another type": signed(header={"typ": "JWT"}),
        "another key's id": signed(header={"kid": "0" * 16}),
        "key's id is a list": f"{part({**HEADER, 'alg': 'EdDSA', 'kid': ['x']})}.{rest}",
        "key to fetch from elsewhere": f"{part({**HEADER, 'alg': 'EdDSA', 'jku': 'https://evil.example'})}.{rest}",
        "key in its own header": jwt.encode(
            good(), Ed25519PrivateKey.from_private_bytes(OLD), "EdDSA",
            headers={**HEADER, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": part(RAW)}},
        ),
        "unknown critical header": signed(header={"crit": ["exp2"], "exp2": 1}),
        "huge": signed({"more": "x" * 100_000}),
        "garbage": "!!!.???.***",
        "three dots": "...",
        "empty parts": "..",
        "header is a number": f"{part(7)}.{part(good())}.{part(b'x')}",
        "header is deep": f"{part(b'[' * 1200)}.{part(good())}.{part(b'x')}",
        "claims are a list": f"{ours.split('.')[0]}.{part([])}.{ours.split('.')[2]}",
        "truncated": ours[:-10],
        "without signature": ours.rsplit(".", 1)[0] + ".",
        "a part too many": ours + ".x",
        "doubled": ours + ours,
        "encrypted": "a.b.c.d.e",
    }  # fmt: skip


def test_ours_is_read() -> None:
    claims = SIGNER.verify(SIGNER.sign(7, session := uuid4(), timezone.now()))
    assert (claims.user_id, claims.session_id) == (7, session)
    assert SIGNER.verify(signed())


@pytest.mark.parametrize("name", hostile())
def test_hostile_one_is_refused(name: str) -> None:
    with pytest.raises(BadAccessToken):
        SIGNER.verify(hostile()[name])


@given(
    st.one_of(st.text(max_size=300), st.lists(st.binary(max_size=60).map(part), min_size=3, max_size=3).map(".".join))
)
def test_nothing_breaks_it(token: str) -> None:
    with pytest.raises(BadAccessToken):
        SIGNER.verify(token)


@given(st.floats(0, 1, exclude_max=True), st.sampled_from("AZaz09-_."))
def test_no_changed_character_passes(share: float, char: str) -> None:
    """The last one of a signature carries bits that are thrown away, so it is passed over."""
    ours = signed()
    place = int(share * (len(ours) - 1))
    if ours[place] != char:
        with pytest.raises(BadAccessToken):
            SIGNER.verify(ours[:place] + char + ours[place + 1 :])


def test_it_lives_ten_minutes() -> None:
    token = SIGNER.sign(7, uuid4(), timezone.now() - LIFETIME + timedelta(seconds=30))
    assert SIGNER.verify(token)
    with pytest.raises(BadAccessToken):
        SIGNER.verify(SIGNER.sign(7, uuid4(), timezone.now() - LIFETIME - timedelta(seconds=30)))


def test_previous_key_verifies_and_does_not_sign() -> None:
    both, ours = Signer(SIGNER.issuer, OLD, SEED), signed()
    assert both.verify(ours)
    assert jwt.get_unverified_header(both.sign(1, uuid4(), timezone.now()))["kid"] != HEADER["kid"]
    with pytest.raises(BadAccessToken):
        Signer(SIGNER.issuer, OLD).verify(ours)


def test_keys_are_not_shown() -> None:
    assert repr(SEED) not in repr(SIGNER)


# -- at the management API


@pytest.fixture
def session(dora: User) -> UserSession:
    return factories.SessionFactory(user=dora)


def ask(token: str) -> Any:
    return Client(headers={"Authorization": f"Bearer {token}"}).get("/projects")


def good_token(session: UserSession) -> str:
    return access_tokens.signer().sign(session.user_id, session.pk, timezone.now())


@pytest.mark.django_db
def test_live_session_is_let_in_with_one_look_up(session: UserSession) -> None:
    token = good_token(session)
    with CaptureQueriesContext(connection) as asked:
        assert ask(token).status_code == 200
    assert len([query for query in asked if UserSession._meta.db_table in query["sql"]]) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(hostile()))
def test_hostile_one_is_401(session: UserSession, name: str) -> None:
    response = ask(hostile()[name])
    assert (response.status_code, response.json()["code"]) == (401, "bad_token")
    assert response["Content-Type"] == "application/problem+json"
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [lambda session: UserSession.objects.update(ended_at=timezone.now()),
     lambda session: UserSession.objects.update(expires_at=timezone.now()),
     lambda session: UserSession.objects.update(kind=UserSession.Kind.CONSOLE),
     lambda session: User.objects.update(is_active=False),
     lambda session: session.delete()],
    ids=["ended", "expired", "of a browser", "user disabled", "gone"],
)  # fmt: skip
def test_good_signature_alone_is_not_enough(session: UserSession, change: Callable[[UserSession], Any]) -> None:
    token = good_token(session)
    assert ask(token).status_code == 200
    change(session)
    assert ask(token).status_code == 401


@pytest.mark.django_db
def test_session_of_somebody_else_is_401(session: UserSession) -> None:
    other = factories.UserFactory.create(is_active=True)
    assert ask(access_tokens.signer().sign(other.pk, session.pk, timezone.now())).status_code == 401


@pytest.mark.django_db
def test_register_tells_how_they_signed_in(session: UserSession, events: Callable[[], list[Event]]) -> None:
    client = Client(headers={"Authorization": f"Bearer {good_token(session)}"})
    assert client.post("/projects", {"name": "team-a"}).status_code == 201
    assert (events()[-1].actor_name, events()[-1].auth_method) == ("dora", "jwt")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["jwt", "management token", "password"])
def test_broken_database_is_503_and_never_401(session: UserSession, kind: str) -> None:
    """A real one: nothing listens where the process looks for it."""
    token = {"jwt": good_token(session), "management token": _management_token(session.user)}.get(kind)
    connection.close()
    with patch.dict(connection.settings_dict, {"HOST": "127.0.0.1", "PORT": "1"}):
        response = ask(token) if token else Client().post("/auth/token", {"username": "dora", "password": "x"})
    connection.close()
    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
    assert response["Retry-After"]


def _management_token(user: User) -> str:
    from controlplane import tokens
    from controlplane.models import ManagementToken

    generated = tokens.generate(tokens.MANAGEMENT)
    ManagementToken.objects.create(user=user, name="t", digest=tokens.digest(generated.token))
    return generated.token


def test_issuer_is_this_console() -> None:
    assert access_tokens.signer().issuer == settings.CONSOLE_URL
