"""Sealed secrets open in their own place under their own master key, and nowhere else."""

import base64
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.sealing import Keyring, Sealed, Unopenable, key_id, keyring

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
PLACE = "controlplane_deployment.external_key/0198/platform"
RING = Keyring(OLD)

texts = st.text(min_size=1, max_size=200).filter(lambda text: text.isprintable())


@given(text=texts, place=texts)
def test_what_was_sealed_is_opened(text: str, place: str) -> None:
    assert RING.open(RING.seal(text, place), place) == text


@given(text=texts, place=texts, other=texts)
def test_nothing_opens_elsewhere(text: str, place: str, other: str) -> None:
    if other != place:
        with pytest.raises(Unopenable):
            RING.open(RING.seal(text, place), other)


@given(flipped=st.integers(min_value=0), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(flipped: int, bit: int) -> None:
    form, master, *parts = RING.seal("sk-upstream", PLACE).split(".")
    which, raws = flipped % 2, [bytearray(base64.urlsafe_b64decode(part + "==")) for part in parts]
    raws[which][flipped % len(raws[which])] ^= 1 << bit
    altered = ".".join([form, master, *(base64.urlsafe_b64encode(raw).decode().rstrip("=") for raw in raws)])
    with pytest.raises(Unopenable):
        RING.open(altered, PLACE)


def test_the_same_text_is_never_sealed_alike() -> None:
    assert RING.seal("same", PLACE) != RING.seal("same", PLACE)


def test_parts_of_two_envelopes_do_not_mix() -> None:
    mine, other = (RING.seal(text, PLACE).split(".") for text in ("mine", "other"))
    with pytest.raises(Unopenable):
        RING.open(".".join([*mine[:3], other[3]]), PLACE)


@pytest.mark.parametrize(
    "broken", ["", "sk-plain", "sealed1", "sealed1.a.b", "sealed1.a.b.c", "sealed1.....", "sealed2.a.b.c"]
)
def test_what_is_no_envelope_is_named_so(broken: str) -> None:
    with pytest.raises(Unopenable):
        RING.open(broken, PLACE)


@pytest.mark.parametrize("part", [2, 3])
def test_text_that_is_no_base64_is_named_so(part: int) -> None:
    parts = RING.seal("x", PLACE).split(".")
    parts[part] = "é~"
    with pytest.raises(Unopenable, match="no sealed secret"):
        RING.open(".".join(parts), PLACE)


def test_another_master_key_opens_nothing_and_is_named() -> None:
    with pytest.raises(Unopenable, match=key_id(OLD)):
        Keyring(NEW).open(RING.seal("x", PLACE), PLACE)


def test_both_keys_open_while_one_is_replaced() -> None:
    both = Keyring(NEW, OLD)
    assert both.open(RING.seal("before", PLACE), PLACE) == "before"
    assert both.open(both.seal("after", PLACE), PLACE) == "after"


def test_rewrapped_secret_needs_the_new_key_only() -> None:
    before = RING.seal("sk-upstream", PLACE)
    after = Keyring(NEW, OLD).rewrap(before, PLACE)
    assert Keyring(NEW).open(after, PLACE) == "sk-upstream"
    assert after.split(".")[3] == before.split(".")[3], "the sealed text itself stays"


def test_nothing_shows_the_secret_or_the_keys() -> None:
    sealed = Sealed(RING.seal("sk-upstream", PLACE))
    assert {str(sealed), repr(sealed), f"{sealed}"} == {"(sealed)"}
    assert str(Sealed("")) == ""
    assert OLD.hex() not in repr(RING)
    assert repr(OLD) not in repr(RING)


def test_master_key_of_the_installation_is_used() -> None:
    assert keyring().open(keyring().seal("x", PLACE), PLACE) == "x"
