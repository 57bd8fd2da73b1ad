from audit.operations import Operation
from controlplane.models import User

from .pages import text, url

PASSWORD = "seven green lamps"


def _person(name: str = "dora", **fields: object) -> User:
    return User.objects.create_user(name, password=PASSWORD, is_staff=True, **fields)


def _sign_in(client, name: str = "dora", password: str = PASSWORD):
    return client.post(url("login"), {"username": name, "password": password})


def test_sign_in_leads_to_the_overview(client, db):
    _person()
    assert _sign_in(client).headers["Location"] == url("index")


def test_sign_in_is_recorded(client, events):
    _person()
    _sign_in(client)
    event = events()[-1]
    assert (event.operation, event.kind, event.actor_name, event.source, event.source_ip, event.auth_method) == (
        Operation.USER_SIGNED_IN, "security", "dora", "ui", "127.0.0.1", "password",
    )  # fmt: skip


def test_wrong_password_is_recorded_with_the_name(client, events):
    _person()
    answer = _sign_in(client, password="wrong")
    assert answer.status_code == 200
    assert (events()[-1].operation, events()[-1].target_name, events()[-1].status) == (
        Operation.USER_SIGN_IN_FAILED, "dora", "refused",
    )  # fmt: skip


def test_unknown_name_is_not_copied(client, events):
    _sign_in(client, name="my secret password")
    event = events()[-1]
    assert event.operation == Operation.USER_SIGN_IN_FAILED
    assert "my secret password" not in f"{event.target_name}{event.target_id}{event.actor_name}{event.detail}"


def test_nul_in_the_name_is_refused(client, db):
    assert _sign_in(client, name="do\x00ra").status_code == 200


def test_outsider_is_not_let_in(client, charlie_user):
    charlie_user.set_password(PASSWORD)
    charlie_user.save()
    assert _sign_in(client, name="charlie").status_code == 200
    assert client.get(url("index")).status_code == 302


def test_sign_out_is_recorded_and_leads_to_the_door(alice_console, events):
    answer = alice_console.post(url("logout"))
    assert answer.headers["Location"] == url("login")
    assert (events()[-1].operation, events()[-1].actor_name) == (Operation.USER_SIGNED_OUT, "alice")


def test_sign_out_by_a_link_is_refused(alice_console):
    assert alice_console.get(url("logout")).status_code == 405


def test_door_speaks_both_languages(client, db):
    assert "Sign in" in text(client.get(url("login")))
    assert "登录" in text(client.get(url("login"), headers={"Accept-Language": "zh-CN"}))


def test_language_is_kept(alice_console):
    alice_console.post("/i18n/setlang/", {"language": "zh-hans", "next": url("index")})
    assert "概览" in text(alice_console.get(url("index")))
