"""S3: two projects, and people of each who do what comes to their minds. Nobody is ever told of the other project.

All that belongs to a project carries words that stand nowhere else, in names, descriptions and reasons, besides its
ids. An answer that holds one of them, given to somebody who holds nothing in that project, is a read across. One
person wanders: rights come and go while answers, pages and cursors are remembered.
"""

import json
import uuid
from collections import Counter
from typing import Any
from urllib.parse import unquote

from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client as Browser
from django.urls import reverse
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from controlplane import publish
from controlplane.models import ApiKey, Project, RoleBinding, User
from controlplane.roles import Role
from inference.auth import Principal, may_call
from inference.contract import limits, tables
from inference.snapshot import build
from tests.access.matrix import client, token_of
from tests.access.matrix_console import browser_of
from tests.access.world import World, make, person
from tests.api.conftest import Client

SIDES = ("alpha", "beta")
WANDERER = "wanderer"
PEOPLE = [f"{side}-{role.value}" for side in SIDES for role in Role] + [WANDERER]
NOUNS = (
    "projects", "models", "versions", "deployments", "replicas", "routes", "api-keys", "limits", "users", "sessions",
    "tokens", "service-accounts", "role-bindings", "audit/events",
)  # fmt: skip
PAGES = ("model", "modelversion", "deployment", "route", "apikey", "limit", "project", "user", "rolebinding")
OF_PAGE = dict(
    zip(
        PAGES,
        ("models", "versions", "deployments", "routes", "api-keys", "limits", "projects", "users", "role-bindings"),
        strict=True,
    )
)

MADE = ("models", "versions", "deployments", "routes", "api-keys", "limits", "service-accounts", "tokens")
INSIDE_ANOTHER = {"versions", "limits", "tokens"}
"""made in the project of what they name"""

people, sides, nouns = st.sampled_from(PEOPLE), st.sampled_from(SIDES), st.sampled_from(NOUNS)
numbers = st.integers(0, 1_000_000)


class Tally:
    """What all runs together did."""

    def __init__(self) -> None:
        self.steps = 0
        self.answers: Counter[int] = Counter()
        self.across: list[str] = []


class TwoProjects(RuleBasedStateMachine):
    """`tally` is given by the test that runs it."""

    tally = Tally()

    @initialize()
    def found(self) -> None:
        cache.clear()
        self.undone = transaction.atomic()
        self.undone.__enter__()
        self.worlds: dict[str, World] = {side: make(side) for side in SIDES}
        with connection.cursor() as cursor:  # after what was sealed in there, which would wait for five seconds only
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        self.marks = {side: set(world.marks) for side, world in self.worlds.items()}
        self.known = {
            side: {noun: [(str(getattr(thing, "pk", thing)), getattr(thing, "name", ""))]
                   for noun, thing in world.things.items() if noun != "roles"}
            for side, world in self.worlds.items()
        }  # fmt: skip
        self.users: dict[str, User] = {}
        for name in PEOPLE[:-1]:
            side, _, role = name.partition("-")
            self.users[name] = person(name, Role(role), self.worlds[side].project)
        self.users[WANDERER] = person(WANDERER, None, None)
        self.homes = {name: {name.partition("-")[0]} for name in PEOPLE[:-1]} | {WANDERER: set()}
        self.apis: dict[str, Client] = {name: client(token_of(user)) for name, user in self.users.items()}
        self.root = client(token_of(person("root", Role.OWNER, None)))
        self.browsers: dict[str, Browser] = {}
        self.links: list[str] = []
        self.sent: list[tuple[str, dict[str, Any], str]] = []
        self.unpublished = True

    def teardown(self) -> None:
        if hasattr(self, "undone"):
            transaction.set_rollback(True)
            self.undone.__exit__(None, None, None)

    # -- what is told

    def word(self, side: str) -> str:
        """A new word of the project's own."""
        word = f"s{uuid.uuid4().hex}"
        self.marks[side].add(word)
        return word

    def check(self, who: str, response: Any, *, asked: str = "") -> Any:
        """Nothing of a project in which one holds nothing, but for what one has said oneself."""
        self.tally.steps += 1
        self.tally.answers[response.status_code] += 1
        told = self._text(response)
        for side in set(SIDES) - self.homes[who]:
            if found := {mark for mark in self.marks[side] if mark in told and mark not in asked}:
                self.fail(f"{who} was told {sorted(found)} of {side} by {asked[:300]}")
        assert response.status_code < 500
        return response

    def fail(self, what: str) -> None:
        self.tally.across.append(what)
        raise AssertionError(what)

    @staticmethod
    def _text(response: Any) -> str:
        return unquote(bytes(response.content).decode())

    def some(self, side: str, noun: str, number: int) -> tuple[str, str]:
        """(id, name) of an object of the project that there is or was."""
        there = self.known[side][noun]
        return there[number % len(there)]

    # -- the management API

    @rule(who=people, noun=nouns, side=sides, number=numbers)
    def read_a_list(self, who: str, noun: str, side: str, number: int) -> None:
        _key, name = self.some(side, noun, number)
        queries = ("", "?limit=1", f"?search={name or side}", f"?project={side}", f"?name={name}", "?ordering=-name")
        path = f"/{noun}{queries[number % len(queries)]}"
        response = self.check(who, self.apis[who].get(path), asked=path)
        if response.status_code == 200 and (link := response.json()["next"]):
            self.links.append(link)

    @rule(who=people, number=numbers)
    def follow_somebodys_link(self, who: str, number: int) -> None:
        if self.links:
            link = self.links[number % len(self.links)]
            self.check(who, self.apis[who].get(link), asked=link)

    @rule(who=people, noun=nouns, side=sides, number=numbers)
    def read_one(self, who: str, noun: str, side: str, number: int) -> None:
        path = f"/{noun}/{self.some(side, noun, number)[0]}"
        response = self.check(who, self.apis[who].get(path), asked=path)
        if side not in self.homes[who] and response.status_code == 200:
            self.fail(f"{who} read {path} of {side}")

    @rule(who=people, side=sides, number=numbers)
    def read_replicas(self, who: str, side: str, number: int) -> None:
        path = f"/deployments/{self.some(side, 'deployments', number)[0]}/replicas"
        self.check(who, self.apis[who].get(path), asked=path)

    @rule(who=people, side=sides, named=sides, number=numbers, remembered=st.booleans())
    def make_something(self, who: str, side: str, named: str, number: int, remembered: bool) -> None:
        """In one project, naming what may be another's."""
        noun = MADE[number % len(MADE)]
        word, name = self.word(named if noun in INSIDE_ANOTHER else side), f"{side}-{number}"
        model, deployment, key, route, machine = (
            self.some(named, noun, number)
            for noun in ("models", "deployments", "api-keys", "routes", "service-accounts")
        )
        bodies: dict[str, dict[str, Any]] = {
            "models": {"name": name, "project": side, "description": word},
            "versions": {"model": model[number % 2], "name": f"v{number}", "source": "hf:a/b"},
            "deployments": {"name": name, "project": side, "version": self.some(named, "versions", number)[0]},
            "routes": {"name": name, "project": side, "targets": [{"deployment": deployment[number % 2]}]},
            "api-keys": {"name": word, "project": side, "routes": [route[1]] if number % 2 else None},
            "limits": {"api_key": key[0], "concurrency": number % 50, "route": route[1] if number % 2 else None},
            "service-accounts": {"name": name, "project": side, "description": word},
            "tokens": {"name": word, "service_account": machine[0]},
        }  # fmt: skip
        sent = {**bodies[noun], "reason": word}
        headers = {"Idempotency-Key": f"key-{number % 5}"} if remembered else {}
        if remembered:
            self.sent.append((noun, sent, headers["Idempotency-Key"]))
        response = self.check(who, self.apis[who].post(f"/{noun}", sent, headers=headers), asked=json.dumps(sent))
        self._keep(noun, response)

    @rule(who=people, number=numbers)
    def send_again(self, who: str, number: int) -> None:
        """What somebody, perhaps oneself and perhaps with other rights, has sent under the same key."""
        if self.sent:
            noun, body, key = self.sent[number % len(self.sent)]
            response = self.apis[who].post(f"/{noun}", body, headers={"Idempotency-Key": key})
            self._keep(noun, self.check(who, response, asked=json.dumps(body)))

    def _keep(self, noun: str, response: Any) -> None:
        """What is new belongs to the project that it says."""
        if response.status_code != 201:
            return
        self.unpublished = True
        made = response.json()
        side = made.get("project") or self._side_of(noun, made)
        self.known[side][noun].append((made["id"], made.get("name", "")))
        self.marks[side].add(made["id"])

    def _side_of(self, noun: str, made: dict[str, Any]) -> str:
        owner = {"versions": ("models", "model_id"), "tokens": ("service-accounts", "service_account_id")}.get(noun)
        if owner is None:  # a limit of a key
            owners = dict(ApiKey.objects.values_list("key_id", "project__name"))
            return str(owners[made["api_key"]])
        kind, field = owner
        return next(side for side in SIDES if made[field] in {key for key, _name in self.known[side][kind]})

    @rule(who=people, noun=nouns, side=sides, number=numbers)
    def change_something(self, who: str, noun: str, side: str, number: int) -> None:
        bodies: dict[str, dict[str, Any]] = {
            "projects": {"title": self.word(side)}, "versions": {"state": "retired"},
            "deployments": {"replicas": number % 3}, "routes": {"targets": []}, "limits": {"concurrency": number % 9},
            "api-keys": {"name": self.word(side)}, "service-accounts": {"description": self.word(side)},
        }  # fmt: skip
        self._write(who, "patch", noun, side, number, bodies.get(noun, {}))

    @rule(who=people, noun=nouns, side=sides, number=numbers)
    def end_something(self, who: str, noun: str, side: str, number: int) -> None:
        if noun not in {"tokens", "role-bindings"}:  # what people here hold is the model's own to give and take
            self._write(who, "delete", noun, side, number, {})

    @rule(who=people, noun=st.sampled_from(["api-keys", "tokens"]), side=sides, number=numbers)
    def rotate_something(self, who: str, noun: str, side: str, number: int) -> None:
        self._write(who, "post", noun, side, number, {}, "/rotate")

    def _write(
        self, who: str, method: str, noun: str, side: str, number: int, body: dict[str, Any], more: str = ""
    ) -> None:
        path, sent = f"/{noun}/{self.some(side, noun, number)[0]}{more}", {**body, "reason": self.word(side)}
        response = self.check(who, getattr(self.apis[who], method)(path, sent), asked=path + json.dumps(sent))
        self.unpublished |= response.status_code < 300
        if side not in self.homes[who] and response.status_code < 300:
            self.fail(f"{who} changed {path} of {side}")

    # -- the console

    @rule(who=people, page=st.sampled_from(PAGES), side=sides, number=numbers)
    def look_at_a_page(self, who: str, page: str, side: str, number: int) -> None:
        noun = OF_PAGE[page]
        paths = [
            reverse("admin:index"),
            reverse("admin:overview_live"),
            reverse(f"admin:controlplane_{page}_changelist"),
            reverse("admin:audit_event_changelist"),
            reverse(f"admin:controlplane_{page}_change", args=[self.some(side, noun, number)[0]]),
            reverse("admin:audit_event_change", args=[self.some(side, "audit/events", number)[0]]),
            reverse("admin:controlplane_apikey_add"),
            reverse("admin:controlplane_deployment_add"),
            reverse("admin:controlplane_limit_add"),
            reverse("admin:controlplane_route_add"),
        ]
        path = paths[number % len(paths)]
        if who not in self.browsers:
            self.browsers[who] = browser_of(self.users[who])
        self.check(who, self.browsers[who].get(path), asked=path)

    # -- rights that come and go

    @rule(side=sides, role=st.sampled_from(list(Role)))
    def wander_in(self, side: str, role: Role) -> None:
        response = self.root.post("/role-bindings", {"user": WANDERER, "role": role.value, "project": side})
        assert response.status_code in {201, 409}
        self.homes[WANDERER].add(side)

    @rule(side=sides)
    def wander_out(self, side: str) -> None:
        if side not in self.homes[WANDERER]:
            return
        project = self.worlds[side].project
        for binding in RoleBinding.objects.filter(user=self.users[WANDERER], project=project):
            assert self.root.delete(f"/role-bindings/{binding.pk}", {"reason": "moves on"}).status_code == 204
        self.homes[WANDERER].discard(side)

    # -- the gateway's tables

    @rule()
    def publish_to_the_gateways(self) -> None:
        """Each key belongs to its project, may call its routes alone, and is led to its deployments alone.

        Once after each change: it is the dearest step, and the one that hypothesis likes best, as it draws nothing.
        No precondition: what was answered decides, and hypothesis asks for preconditions that repeat themselves.
        """
        if not self.unpublished:
            return
        self.unpublished = False
        self.tally.steps += 1
        publish.publish_all()
        redis = publish.redis_client()
        owners = dict(ApiKey.objects.values_list("key_id", "project__name"))
        snapshot = build(tables.decode_routes(redis.get(tables.ROUTES)))
        for entry in limits.decode_table(redis.get(limits.TABLE)).limits:
            assert entry.project in {*Project.objects.values_list("name", flat=True), limits.PLATFORM}
        for key_id, raw in redis.hgetall(tables.KEYS).items():
            entry = tables.decode_key(raw)
            assert owners[key_id.decode()] == entry.project
            assert {limit.project for limit in entry.limits} <= {entry.project}
            principal = Principal(entry.id, entry.name, entry.project, None, None)
            for route in snapshot.routes.values():
                if may_call(principal, route):
                    assert route.project in {None, entry.project}
                    told = {target.deployment for target in route.targets}
                    assert not {name for name in told if name.startswith(_other(entry.project))}


def _other(side: str) -> str:
    return next(it for it in SIDES if it != side)
