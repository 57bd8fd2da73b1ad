from audit.operations import Operation
from controlplane.models import User

from .conftest import browser_of
from .pages import errors, text, url

OLD, NEW = "one-time lamp 77", "a lamp that is my own"


def _newcomer() -> User:
    return User.objects.create_user("dora", password=OLD, is_staff=True, is_superuser=True, must_change_password=True)


def _change(client, old: str = OLD, new: str = NEW, again: str = NEW):
    return client.post(url("password_change"), {"old_password": old, "new_password1": new, "new_password2": again})


def test_one_time_password_comes_first(db):
    console = browser_of(_newcomer())
    assert console.get(url("controlplane_apikey_changelist")).headers["Location"] == url("password_change")
    assert "Choose your own password" in text(console.get(url("password_change")))


def test_nothing_can_be_changed_before(db):
    console = browser_of(_newcomer())
    assert console.post(url("controlplane_project_add"), {"name": "p"}).status_code == 403


def test_new_password_opens_the_console(db):
    console = browser_of(_newcomer())
    assert _change(console).headers["Location"] == url("index")
    assert console.get(url("index")).status_code == 200
    assert User.objects.get().check_password(NEW)


def test_change_is_recorded(events):
    _change(browser_of(_newcomer()))
    assert (events()[-1].operation, events()[-1].actor_name) == (Operation.USER_PASSWORD_CHANGED, "dora")


def test_wrong_old_password_changes_nothing(db):
    assert "old_password" in errors(_change(browser_of(_newcomer()), old="wrong"))
    assert User.objects.get().check_password(OLD)


def test_weak_password_is_refused(db):
    answer = _change(browser_of(_newcomer()), new="short", again="short")
    assert answer.status_code == 200
    assert User.objects.get().must_change_password


def test_same_password_again_is_asked(db):
    assert "new_password2" in errors(_change(browser_of(_newcomer()), again="another lamp altogether"))


def test_other_sessions_end(db):
    user = _newcomer()
    here, elsewhere = browser_of(user), browser_of(user)
    _change(here)
    assert elsewhere.get(url("index")).headers["Location"].startswith(url("login"))
