"""Users and roles: given and taken away on the person's page or in the list of bindings."""

import pytest

from controlplane.models import RoleBinding, User
from controlplane.roles import Permission, Role
from tests.conftest import member
from tests.factories import BindingFactory, ProjectFactory, ServiceAccountFactory, UserFactory

from .conftest import browser_of
from .pages import errors, secret, text, url


@pytest.fixture
def alpha(db):
    return ProjectFactory(name="alpha")


@pytest.fixture
def olga_console(alpha):
    return browser_of(member("olga", Role.OWNER, alpha))


def test_new_person_with_a_role(alice_console, alpha):
    secret(
        alice_console.post(url("controlplane_user_add"), {"username": "erin", "role": "viewer", "project": alpha.pk})
    )
    binding = RoleBinding.objects.get(user__username="erin")
    assert (binding.role, binding.project, binding.created_by) == ("viewer", alpha, "alice")


def test_refused_role_makes_no_person(alice_console, alice_user):
    answer = alice_console.post(url("controlplane_user_add"), {"username": "erin", "role": "king"})
    assert errors(answer)["role"]
    assert not User.objects.filter(username="erin").exists()


def test_page_shows_roles_and_what_one_may_do(alice_console, charlie_user, alpha):
    BindingFactory(user=charlie_user, role=Role.OPERATOR, project=alpha)
    page = text(alice_console.get(url("controlplane_user_change", charlie_user.pk)))
    assert "Operator" in page
    assert 'data-testid="action-grant"' in page
    assert 'data-testid="revoke"' in page


def test_role_is_granted_on_the_persons_page(alice_console, charlie_user, alpha, events):
    answer = alice_console.post(
        url("controlplane_user_do_grant", charlie_user.pk),
        {"role": "developer", "project": alpha.pk, "reason": "joins"},
    )
    assert answer.headers["Location"] == url("controlplane_user_change", charlie_user.pk)
    assert charlie_user.role_bindings.get().role == "developer"
    assert (events()[-1].operation, events()[-1].reason) == ("role.granted", "joins")


def test_role_is_taken_away_for_a_reason(alice_console, charlie_user):
    binding = BindingFactory(user=charlie_user)
    path = url("controlplane_rolebinding_do_revoke", binding.pk)
    assert errors(alice_console.post(path))["reason"]
    assert alice_console.post(path, {"reason": "left"}).headers["Location"] == url(
        "controlplane_user_change", charlie_user.pk
    )
    assert not charlie_user.role_bindings.exists()


def test_last_owner_stays(alice_console, alice_user):
    answer = alice_console.post(
        url("controlplane_rolebinding_do_revoke", alice_user.role_bindings.get().pk), {"reason": "tired"}
    )
    assert "needs an owner" in errors(answer)[""][0]


def test_machine_gets_a_role(alice_console, alpha):
    machine = ServiceAccountFactory(project=alpha)
    alice_console.post(
        url("controlplane_rolebinding_add"), {"service_account": machine.pk, "role": "viewer", "project": alpha.pk}
    )
    assert machine.role_bindings.get().project == alpha


@pytest.mark.parametrize("entered", [{"user": "nobody-here"}, {}, {"user": "charlie", "service_account": "x"}])
def test_holder_has_to_be_one_that_is_there(entered, alice_console, charlie_user):
    answer = alice_console.post(url("controlplane_rolebinding_add"), {"role": "viewer", **entered})
    assert errors(answer)
    assert not charlie_user.role_bindings.exists()


def test_project_owner_grants_there_only(olga_console, alpha, charlie_user):
    beta = ProjectFactory(name="beta")
    for project, made in ((beta.pk, 0), ("", 0), (alpha.pk, 1)):
        olga_console.post(
            url("controlplane_rolebinding_add"), {"user": "charlie", "role": "viewer", "project": project}
        )
        assert charlie_user.role_bindings.count() == made
    form = olga_console.get(url("controlplane_rolebinding_add")).context["form"]
    assert [str(choice) for _value, choice in form.fields["project"].choices] == ["alpha"]


def test_project_owner_sees_the_members_and_their_roles_there(olga_console, alpha, alice_user):
    both = UserFactory(username="erin")
    for project in (alpha, ProjectFactory(name="beta")):
        BindingFactory(user=both, project=project)
    page = text(olga_console.get(url("controlplane_user_changelist")))
    assert "erin" in page
    assert "alpha" in page
    assert "beta" not in page
    assert "alice" not in page
    assert olga_console.get(url("controlplane_user_change", alice_user.pk)).status_code == 404


def test_table_tells_every_permission(alice_console):
    page = text(alice_console.get(url("controlplane_rolebinding_roles")))
    for permission in Permission:
        assert f"<code>{permission.value}</code>" in page


def test_who_holds_nothing_is_told_so(db):
    console = browser_of(UserFactory(is_staff=True))
    assert 'data-testid="holds-nothing"' in text(console.get(url("index")))
