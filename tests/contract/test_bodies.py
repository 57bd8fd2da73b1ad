"""A body opens with its person's private key, for the event, side and project it was kept of, and for nothing else."""

import uuid

import pytest

from inference.contract.bodies import BodyKey, Place, Unreadable, decrypt, encrypt, new_private, parted, public_of
from inference.contract.events import COLUMNS, pack_row
from inference.contract.ids import uuid7_bytes
from tests.contract.test_events import event as an_event

PLACE = Place(uuid.uuid4().bytes, "input", "alpha", "k1")
PRIVATE = new_private()
TEXT = b'{"messages": []}' * 50


def test_opens_again() -> None:
    sealed = encrypt(TEXT, PLACE, public_of(PRIVATE))
    assert decrypt(sealed, PLACE, PRIVATE) == TEXT
    assert len(sealed) < len(TEXT)


def test_same_text_is_never_the_same_bytes() -> None:
    assert encrypt(TEXT, PLACE, public_of(PRIVATE)) != encrypt(TEXT, PLACE, public_of(PRIVATE))


@pytest.mark.parametrize(
    "place",
    [
        PLACE._replace(event_id=uuid.uuid4().bytes), PLACE._replace(side="output"), PLACE._replace(project="beta"),
        PLACE._replace(key_id="k2"), PLACE._replace(side="input\x00alpha", project=""),
    ],
)  # fmt: skip
def test_belongs_to_its_place(place: Place) -> None:
    with pytest.raises(Unreadable):
        decrypt(encrypt(TEXT, PLACE, public_of(PRIVATE)), place, PRIVATE)


def test_other_keys_do_not_open_it() -> None:
    with pytest.raises(Unreadable):
        decrypt(encrypt(TEXT, PLACE, public_of(PRIVATE)), PLACE, new_private())


@pytest.mark.parametrize("at", [0, 31, 32, -1])
def test_flipped_bit(at: int) -> None:
    sealed = bytearray(encrypt(TEXT, PLACE, public_of(PRIVATE)))
    sealed[at] ^= 1
    with pytest.raises(Unreadable):
        decrypt(bytes(sealed), PLACE, PRIVATE)


def test_published_form() -> None:
    key = BodyKey("k1", public_of(PRIVATE))
    assert BodyKey.parse(str(key)) == key


@pytest.mark.parametrize("text", ["", "k1", "k1:", "k1:!", "k1:AAAA", ":" + "A" * 43 + "="])
def test_no_key(text: str) -> None:
    assert BodyKey.parse(text) is None


def test_rows_of_events_and_bodies_are_told_apart() -> None:
    from inference.contract.bodies import COLUMNS as BODY_COLUMNS
    from inference.contract.bodies import Body, pack_body

    body = Body(place=PLACE, data_domain="business", mode="full", size=1, truncated=False)
    row, kept = pack_row(an_event()), pack_body(body, uuid7_bytes(), 1, b"x")
    assert parted([kept, row, kept]) == ([row], [kept, kept])
    assert len(BODY_COLUMNS) != len(COLUMNS)
