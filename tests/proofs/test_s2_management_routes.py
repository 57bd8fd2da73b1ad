"""S2: every path and method of the management API and every page of the console × each role of people and machines, on
the platform, on the project and on another one: what the policy does not permit opens nothing. ``make test`` asks for
some of them in tests/access.
"""

import itertools
from typing import Any

import pytest

from controlplane.roles import Role
from tests.access import matrix, matrix_console
from tests.access.world import World, machine, make, person
from tests.proofs.proof import Proof

pytestmark = pytest.mark.django_db
WHERE = ("platform", "alpha", "beta")


@pytest.mark.proof("S2", seconds=900, small=False)
def test_no_route_opens_to_whom_it_should_not(proof: Proof) -> None:
    worlds = {"alpha": make("alpha"), "beta": make("beta")}
    asked, wrong = 0, {}
    for make_holder, role, where in itertools.product((person, machine), [*Role, None], WHERE):
        holder = make_holder(f"{make_holder.__name__}-{role}-{where}", role, _project(worlds, where))
        api = matrix.client(matrix.token_of(holder))
        found: dict[Any, Any] = dict(matrix.surprises(api, matrix.standing(holder), worlds["alpha"]))
        asked += len(matrix.OPERATIONS)
        if where == "beta":
            found |= {("leak", *which): told for which, told in matrix.leaks(api, worlds["alpha"]).items()}
            asked += len(matrix.OPERATIONS)
        if make_holder is person:
            found |= matrix_console.surprises(
                matrix_console.browser_of(holder), matrix.standing(holder), worlds["alpha"]
            )
            asked += 2 * len(matrix_console.PAGES)
        wrong |= {(holder.pk, role, where, *which): told for which, told in found.items()}
    proof.show("routes × credentials: unexpected answers", counted=asked, bar="0", measured=len(wrong), held=not wrong)
    assert wrong == {}


def _project(worlds: dict[str, World], where: str) -> Any:
    return worlds[where].project if where in worlds else None
