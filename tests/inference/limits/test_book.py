from inference.contract.limits import LimitEntry, LimitTable, decode_table, encode
from inference.limits import LimitBook

PROJECT = LimitEntry("acme", requests_per_minute=1)
ON_ROUTE = LimitEntry("acme", route="chat", requests_per_minute=2)
OWN_ROUTE = LimitEntry("acme", route="chat", shared=True, requests_per_minute=3)
SHARED_ROUTE = LimitEntry("-", route="public", shared=True, requests_per_minute=4)
KEY = LimitEntry("acme", key="k1", requests_per_minute=5)
KEY_ON_ROUTE = LimitEntry("acme", key="k1", route="chat", requests_per_minute=6)
BOOK = LimitBook(decode_table(encode(LimitTable((PROJECT, ON_ROUTE, OWN_ROUTE, SHARED_ROUTE)))))


def test_all_that_apply_apply() -> None:
    found = BOOK.applying("acme", "chat", owner="acme", key_limits=(KEY, KEY_ON_ROUTE))
    assert found == (KEY, KEY_ON_ROUTE, PROJECT, ON_ROUTE, OWN_ROUTE)


def test_limits_of_other_routes_do_not() -> None:
    assert BOOK.applying("acme", "public", key_limits=(KEY, KEY_ON_ROUTE)) == (KEY, PROJECT, SHARED_ROUTE)


def test_limits_of_other_projects_do_not() -> None:
    assert BOOK.applying("beta", "chat", owner="acme") == (OWN_ROUTE,)


def test_an_empty_book_limits_nothing() -> None:
    assert LimitBook().applying("acme", "chat") == ()


def test_names_differ() -> None:
    entries = (PROJECT, ON_ROUTE, OWN_ROUTE, SHARED_ROUTE, KEY, KEY_ON_ROUTE)
    assert len({entry.name for entry in entries}) == len(entries)
