"""Who is let in, and what a refusal costs."""

import secrets
from typing import Any

import pytest

from inference.auth import Authenticator
from inference.contract import keys, tables
from inference.errors import ExpiredKey, InvalidKey, MissingKey, TablesMissing

SECRET = secrets.token_urlsafe(48)


class Known:
    """Tables that hold these keys and count look-ups."""

    def __init__(self, loaded: bool = True) -> None:
        self.loaded = loaded
        self.keys: dict[str, bytes] = {}

    def add(self, **fields: Any) -> str:
        parsed = keys.generate()
        entry = tables.KeyEntry(
            id=parsed.id, digest=keys.digest(parsed.token, keys.pepper(SECRET)), project="p", name="n", **fields
        )
        self.keys[parsed.id] = tables.encode(entry)
        return parsed.token


def authenticator(known: Known, now: float = 0.0) -> Authenticator:
    return Authenticator(known, SECRET, clock=lambda: now)  # type: ignore[arg-type]


def test_known_key_is_a_principal() -> None:
    known = Known()
    principal = authenticator(known).authenticate(known.add(routes=("a",)))
    assert (principal.project, principal.routes) == ("p", frozenset({"a"}))


def test_no_key_is_missing() -> None:
    with pytest.raises(MissingKey):
        authenticator(Known()).authenticate("")


@pytest.mark.parametrize("token", ["x", "sbx_", "sbx_12345678_" + "a" * 43 + "_000000", "ключ", "sbx_" + "a" * 10_000])
def test_malformed_key_costs_no_look_up(token: str) -> None:
    known = Known()
    known.keys = None  # type: ignore[assignment] - any look-up would fail
    with pytest.raises(InvalidKey):
        authenticator(known).authenticate(token)


def test_right_id_with_wrong_secret_is_refused() -> None:
    known = Known()
    key_id = known.add()[4:12]
    body = f"sbx_{key_id}_{'a' * 43}"
    with pytest.raises(InvalidKey):
        authenticator(known).authenticate(f"{body}_{keys.checksum(body)}")


def test_revoked_key_is_refused_though_it_was_proven() -> None:
    known = Known()
    token, keeper = known.add(), authenticator(known)
    keeper.authenticate(token)
    known.keys.clear()
    with pytest.raises(InvalidKey):
        keeper.authenticate(token)


def test_changed_key_is_read_anew() -> None:
    known = Known()
    token, keeper = known.add(), authenticator(known)
    keeper.authenticate(token)
    entry = tables.decode_key(known.keys[token[4:12]])
    changed = tables.KeyEntry(entry.id, entry.digest, "p", "n", routes=("only",))
    known.keys[entry.id] = tables.encode(changed)
    assert keeper.authenticate(token).routes == frozenset({"only"})


@pytest.mark.parametrize(("now", "expired"), [(99.9, False), (100.0, True), (101.0, True)])
def test_key_expires_on_time(now: float, expired: bool) -> None:
    known = Known()
    token, keeper = known.add(expires=100.0), authenticator(known, now)
    if expired:
        with pytest.raises(ExpiredKey):
            keeper.authenticate(token)
    else:
        keeper.authenticate(token)


def test_without_tables_nobody_is_told_that_his_key_is_wrong() -> None:
    known = Known(loaded=False)
    with pytest.raises(TablesMissing):
        authenticator(known).authenticate(keys.generate().token)


def rotated(known: Known, until: float, **fields: Any) -> tuple[str, str]:
    """The new secret of a key and its old one, which is let in until then."""
    old = keys.generate()
    new = keys.generate(old.id)
    pepper = keys.pepper(SECRET)
    entry = tables.KeyEntry(
        id=old.id, digest=keys.digest(new.token, pepper), project="p", name="n",
        previous_digest=keys.digest(old.token, pepper), previous_expires=until, **fields,
    )  # fmt: skip
    known.keys[old.id] = tables.encode(entry)
    return new.token, old.token


def test_both_secrets_are_one_key_while_they_overlap() -> None:
    known = Known()
    new, old = rotated(known, until=100.0)
    keeper = authenticator(known, now=99.0)
    assert keeper.authenticate(new).key_id == keeper.authenticate(old).key_id


def test_old_secret_ends_with_the_overlap_and_the_new_one_does_not() -> None:
    known = Known()
    new, old = rotated(known, until=100.0)
    keeper = authenticator(known, now=100.0)
    with pytest.raises(ExpiredKey):
        keeper.authenticate(old)
    assert keeper.authenticate(new)


def test_old_secret_outlives_its_key_by_nothing() -> None:
    known = Known()
    new, old = rotated(known, until=100.0, expires=50.0)
    keeper = authenticator(known, now=60.0)
    for token in (new, old):
        with pytest.raises(ExpiredKey):
            keeper.authenticate(token)


def test_secret_of_before_the_overlap_is_refused() -> None:
    known = Known()
    new, _ = rotated(known, until=100.0)
    third = keys.generate(keys.parse(new).id)  # type: ignore[union-attr]
    with pytest.raises(InvalidKey):
        authenticator(known).authenticate(third.token)


def test_which_secrets_were_let_in_is_noted() -> None:
    known = Known()
    new, old = rotated(known, until=100.0)
    key_id = keys.parse(new).id  # type: ignore[union-attr]
    keeper = authenticator(known)
    keeper.authenticate(new)
    assert keeper.used == {key_id}
    keeper.authenticate(old)
    assert keeper.used == {key_id, key_id + tables.PREVIOUS}


def test_refused_secret_is_not_noted() -> None:
    known = Known()
    keeper = authenticator(known, now=100.0)
    with pytest.raises(ExpiredKey):
        keeper.authenticate(known.add(expires=50.0))
    assert keeper.used == set()
