"""A project that keeps bodies, and the one who may read them."""

import secrets
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from inference.contract import bodies
from tests.inference.conftest import PROJECT, Key, new_key


class Person:
    """Somebody's key pair in the project. The gateway is told the public half."""

    def __init__(self) -> None:
        self.private = bodies.new_private()
        self.published = bodies.BodyKey(f"k{secrets.token_hex(6)}", bodies.public_of(self.private))

    def api_key(self, mode: str, **fields: Any) -> Key:
        return new_key(register_mode=mode, body_key=str(self.published), **fields)


@dataclass
class Kept:
    """A row of the bodies with what is in it."""

    row: dict[str, Any]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()


def kept(url: str, person: Person) -> list[Kept]:
    """What is kept of that person, in the order of writing."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.execute("SELECT set_config(%s, %s, false)", [bodies.SEEN, PROJECT])
        rows = connection.execute(
            "SELECT * FROM audit_body WHERE key_id = %s ORDER BY at, side", [person.published.id]
        ).fetchall()
    return [Kept(row, bodies.decrypt(row["sealed"], place_of(row), person.private)) for row in rows]


def place_of(row: dict[str, Any]) -> bodies.Place:
    return bodies.Place(row["event_id"].bytes, row["side"], row["project"], row["key_id"])
