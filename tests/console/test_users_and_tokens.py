import hashlib

from controlplane.models import ManagementToken, Project, User

from .conftest import browser_of
from .pages import errors, secret, text, url


def _make(console, **fields):
    return console.post(url("controlplane_user_add"), {"username": "erin", **fields})


def test_new_user_gets_a_one_time_password(alice_console):
    password = secret(_make(alice_console))
    user = User.objects.get(username="erin")
    assert user.check_password(password)
    assert (user.must_change_password, user.is_staff, user.is_superuser) == (True, True, False)
    assert not user.role_bindings.exists()


def test_taken_name_is_refused(alice_console):
    assert errors(_make(alice_console, username="alice"))
    assert User.objects.count() == 1


def test_no_page_shows_a_hash(alice_console, alice_user):
    alice_user.set_password("whatever it was")
    alice_user.save()
    console = browser_of(alice_user)
    for page in (url("controlplane_user_changelist"), url("controlplane_user_change", alice_user.pk)):
        assert "argon2" not in text(console.get(page))


def test_lost_password_is_issued_anew(alice_console, bob_user):
    answer = alice_console.post(url("controlplane_user_do_issue_password", bob_user.pk), {"reason": "forgotten"})
    bob_user.refresh_from_db()
    assert bob_user.check_password(secret(answer))
    assert bob_user.must_change_password


def test_token_is_shown_once_and_stored_as_a_digest(alice_console, alice_user):
    answer = alice_console.post(url("controlplane_managementtoken_add"), {"name": "ci", "user": alice_user.pk})
    token = secret(answer)
    row = ManagementToken.objects.get()
    assert row.digest == hashlib.sha256(token.encode()).hexdigest()
    assert token not in text(alice_console.get(url("controlplane_managementtoken_change", row.pk)))


def test_token_is_revoked_for_a_reason(alice_console, alice_user, events):
    row = ManagementToken.objects.create(user=alice_user, name="ci", digest="0" * 64)
    alice_console.post(url("controlplane_managementtoken_do_revoke", row.pk), {"reason": "leaked"})
    row.refresh_from_db()
    assert row.revoked_at
    assert (events()[-1].operation, events()[-1].reason) == ("token.revoked", "leaked")


def test_project_is_made(alice_console):
    answer = alice_console.post(url("controlplane_project_add"), {"name": "billing", "title": "Rechnung"})
    assert answer.status_code == 302
    assert Project.objects.get().title == "Rechnung"
