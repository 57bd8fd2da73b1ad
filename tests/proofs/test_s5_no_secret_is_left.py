"""S5: secrets are planted wherever people and machines have any, everything is done with them by API, console, commands
and gateway, servers break on the way; then all that was written is searched for each of them.
"""

import asyncio
import base64
import gzip
import json
import re
import secrets
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.up.instance import SECRETS
from controlplane.credentials import read_credentials
from tests.inference.engine import COMPLETION, DONE, STREAM_HEAD, Asked, Engine, chunk, delta, plain
from tests.proofs.installation import Installation, installation
from tests.proofs.planted import Answers, Planted, whole
from tests.proofs.proof import Proof

TO_PLANT = 20
MARK = "s5-visible-mark"
"""a name that is no secret: what finds it in a place would find a secret there"""
ANSWER = f"the answer {secrets.token_hex(12)}"


NOUNS = (
    "models", "versions", "deployments", "replicas", "routes", "api-keys", "limits", "projects", "users", "sessions",
    "tokens", "service-accounts", "role-bindings", "audit/events",
    "audit/exports", "channels", "deliveries", "alerts", "alert-rules", "silences", "nodes", "usage",
)  # fmt: skip


def new_secret() -> str:
    return secrets.token_urlsafe(24)


async def engine_says(engine: Engine, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """An engine with a key, whose answers are to be found nowhere; it names what it refuses, as some do."""
    if asked.line.startswith("GET /v1/models"):
        body = {"object": "list", "data": [{"id": "quiet", "object": "model"}]}
    elif asked.body and asked.json.get("stream"):
        writer.write(STREAM_HEAD + chunk(delta(ANSWER)) + chunk(DONE) + b"0\r\n\r\n")
        await writer.drain()
        return
    else:
        message = {"role": "assistant", "content": ANSWER}
        body = COMPLETION | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    writer.write(plain(json.dumps(body).encode()))
    await writer.drain()


class Everything:
    """What users do with their secrets; each answer is kept."""

    def __init__(self, at: Installation, planted: Planted, answers: Answers, engine: str, *, soak: bool) -> None:
        self.soak = soak
        self.at, self.planted, self.answers, self.engine = at, planted, answers, engine
        self.console = httpx.Client(base_url=at.instance.console_url, timeout=60, trust_env=False)
        self.gateway = httpx.Client(base_url=at.instance.gateway_url, timeout=60, trust_env=False)
        self.token = ""
        self.exported = b""

    def close(self) -> None:
        self.console.close()
        self.gateway.close()

    def ask(self, method: str, path: str, *, status: int, shows: tuple[str, ...] = (), **more: Any) -> Any:
        """Of the management API, as the administrator unless `headers` say otherwise."""
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        with httpx.Client(base_url=f"{self.at.instance.console_url}/api/v1", timeout=60, trust_env=False) as client:
            answer = client.request(method, path, headers=headers, **more)
        self.answers.keep(f"{method} {path}", whole(answer), shows)
        assert answer.status_code == status, (path, answer.text)
        return answer.json() if answer.content else None

    def page(self, method: str, path: str, *, shows: tuple[str, ...] = (), **more: Any) -> httpx.Response:
        """Of the console, with the browser's cookies."""
        data = dict(more.pop("data", {}))
        if method == "POST":
            data["csrfmiddlewaretoken"] = next(v for name, v in self.console.cookies.items() if "csrf" in name)
        answer = self.console.request(method, f"/console{path}", data=data or None, **more)
        self.answers.keep(f"{method} /console{path.partition('shown-once')[0]}", whole(answer), shows)
        assert answer.status_code < 500, path
        return answer

    def chat(self, key: str, *, status: int, stream: bool = False, header: str = "authorization") -> None:
        sent = f"Bearer {key}" if header == "authorization" else key
        body = {"model": MARK, "stream": stream, "messages": [{"role": "user", "content": self.prompt}]}
        until = time.monotonic() + 120
        while True:
            answer = self.gateway.post("/v1/chat/completions", json=body, headers={header: sent})
            self.answers.keep(f"chat with {header}", whole(answer), {"answer of a model"})
            if answer.status_code == status or time.monotonic() > until:
                break
            time.sleep(0.2)
        assert answer.status_code == status, answer.text

    def run(self, *arguments: str, shows: tuple[str, ...] = (), fails: bool | None = False) -> str:
        done = self.at.manage(*arguments)
        self.answers.keep(f"manage.py {arguments[0]}", (done.stdout + done.stderr).encode(), shows)
        assert fails is None or bool(done.returncode) == fails, done.stderr
        return done.stdout.strip()

    # the parts of it

    def what_make_up_makes(self) -> None:
        made = read_credentials(self.at.credentials)
        self.token = self.planted.plant("management token of the administrator", made["SIGNALBOX_ADMIN_TOKEN"])
        self.planted.plant("one-time password of the administrator", made["SIGNALBOX_ADMIN_PASSWORD"])
        self.planted.plant("API key of make up", made["SIGNALBOX_API_KEY"])
        self.first_password, self.first_key = made["SIGNALBOX_ADMIN_PASSWORD"], made["SIGNALBOX_API_KEY"]

    def engines(self) -> None:
        by_command, by_api, variable, typed = (new_secret() for _ in range(4))
        self.planted.plant("upstream key given to a command", by_command)
        self.planted.plant("upstream key given to the API", by_api)
        self.planted.plant("variable of an engine", variable)
        self.planted.plant("password in an engine's URL", typed)
        file = self.at.private / "upstream.key"
        file.write_text(by_command)
        self.run("connect", self.engine, "--route", MARK, "--key-file", str(file))
        if self.soak:  # each command costs seconds
            self.run("connect", f"http://u:{typed}@127.0.0.1:1", "--route", "never", fails=True)
        self.ask("POST", "/models", json={"name": MARK}, status=201)
        self.ask("POST", "/versions", json={"model": MARK, "name": "v1", "source": "hf:org/m"}, status=201)
        sealed = {"HF_TOKEN": variable, "WHATEVER": variable}
        ordered = {"name": MARK, "version": f"{MARK}:v1", "replicas": 0, "engine_env": sealed}
        self.ask("POST", "/deployments?dry_run=true", json=ordered, status=200)
        made = self.ask("POST", "/deployments", json=ordered, status=201)
        self.ask(
            "PATCH", f"/deployments/{made['id']}", json={"engine_env": {"HF_TOKEN": "•••", "B": variable}}, status=200
        )
        outside = ordered | {
            "name": "outside", "backend": "external", "flavour": "external", "replicas": 1, "engine_env": {},
            "served_name": "quiet", "external_url": self.engine, "external_key": by_api,
        }  # fmt: skip
        self.ask("POST", "/deployments", json=outside, status=201)
        for wrong in (
            {"external_url": f"http://u:{typed}@127.0.0.1:1"}, {"engine_args": {"api-key": by_api}},
            {"external_key": [by_api]}, {"external_key": by_api + "\x00"}, {"extrenal_key": by_api},
            {"engine_env": {"PATH": variable}}, {"engine_env": variable},
        ):  # fmt: skip
            self.ask("POST", "/deployments", json=outside | {"name": "wrong"} | wrong, status=400)
        self.ask("POST", "/deployments", content=f'{{"external_key": "{by_api}"', status=400,
                 headers={"Content-Type": "application/json"})  # fmt: skip

    def people(self) -> None:
        wrong, chosen, as_name = new_secret(), new_secret(), new_secret()
        self.planted.plant("password that was wrong", wrong)
        self.planted.plant("password that somebody chose", chosen)
        self.planted.plant("password typed as a name", as_name)
        name = "one-time password of a person"
        made = self.ask("POST", "/users", json={"username": "dora"}, status=201, shows=(name,))
        password = self.planted.plant(name, made["one_time_password"])
        for body in ({"username": "dora", "password": wrong}, {"username": as_name, "password": wrong}):
            self.ask("POST", "/auth/token", json=body, status=401)
        self.ask("POST", "/auth/password", status=204, json={
            "username": "dora", "password": password, "new_password": chosen,
        })  # fmt: skip
        names = "access token", "refresh token"
        pair = self.ask("POST", "/auth/token", json={"username": "dora", "password": chosen}, status=200, shows=names)
        again = self._plant_pair(pair) and {"refresh_token": pair["refresh_token"]}
        later = self.ask("POST", "/auth/refresh", json=again, status=200, shows=names)
        self._plant_pair(later)
        self.ask("GET", "/sessions", headers={"Authorization": f"Bearer {later['access_token']}"}, status=200)
        self.ask("POST", "/auth/refresh", json=again, status=401)  # stolen: the session ends
        self.ask("POST", "/auth/revoke", json={"token": later["refresh_token"]}, status=204)

    def _plant_pair(self, pair: dict[str, str]) -> bool:
        self.planted.plant("access token", pair["access_token"])
        self.planted.plant("access token", pair["access_token"].rsplit(".", 1)[1])  # its signature
        self.planted.plant("refresh token", pair["refresh_token"])
        return True

    def machines(self) -> None:
        name = "management token of a machine"
        account = self.ask("POST", "/service-accounts", json={"name": MARK}, status=201)
        body = {"name": MARK, "service_account": account["name"]}
        made = self.ask("POST", "/tokens", json=body, status=201, shows=(name,))
        self.planted.plant(name, made["token"])
        turned = self.ask("POST", f"/tokens/{made['id']}/rotate", json={}, status=201, shows=(name,))
        self.planted.plant(name, turned["token"])
        self.ask("POST", "/role-bindings", json={"service_account": MARK, "role": "viewer"}, status=201)
        self.ask("GET", "/models", headers={"Authorization": f"Bearer {turned['token']}"}, status=200)

    def keys(self) -> None:
        name, rotated, typed = "API key made by the API", "API key's next secret", "API key made by a command"
        once = {"Idempotency-Key": secrets.token_hex(8)}
        for _ in range(2):  # the second time it is replayed
            body = {"project": "default", "name": MARK}
            made = self.ask("POST", "/api-keys", json=body, headers=once, status=201, shows=(name,))
        self.planted.plant(name, made["key"])
        turned = self.ask("POST", f"/api-keys/{made['id']}/rotate", json={}, status=201, shows=(rotated,))
        self.planted.plant(rotated, turned["key"])
        by_command = self.planted.plant(typed, self.run("create_key", "--name", MARK, shows=(typed,)))
        for key in (self.first_key, made["key"], turned["key"], by_command):
            self.chat(key, status=200)
        self.chat(turned["key"], status=200, stream=True)
        self.ask("DELETE", f"/api-keys/{made['id']}", json={"reason": "S5"}, status=200)
        self.chat(turned["key"], status=401)
        unknown = self.planted.plant("API key of somewhere else", f"sk-{new_secret()}")
        self.chat(unknown, status=401, header="x-api-key")
        wrong_place = httpx.Request("GET", f"{self.at.instance.gateway_url}/v1/models?api_key={unknown}")
        self.answers.keep("GET /v1/models", whole(self.gateway.send(wrong_place)))
        self.ask("GET", f"/models?access_token={unknown}", status=400)
        self.ask("GET", "/models", headers={"Authorization": f"Bearer {unknown}"}, status=401)

    def channels(self) -> None:
        """Robots are not asked, because they are outside; a webhook is, where nobody listens."""
        robot, signing, path, hmac = (new_secret() for _ in range(4))
        self.planted.plant("token in a robot's URL", robot)
        self.planted.plant("secret of a robot", f"SEC{signing}")
        self.planted.plant("URL of a webhook", path)
        self.planted.plant("secret of a webhook", hmac)
        off = {"name": "robot", "kind": "dingtalk", "enabled": False, "secret": f"SEC{signing}"}
        url = f"https://oapi.dingtalk.com/robot/send?access_token={robot}"
        self.ask("POST", "/channels", json=off | {"url": url}, status=201)
        self.ask("POST", "/channels", json=off | {"url": f"https://example.com/send?access_token={robot}"}, status=400)
        hook = {"name": MARK, "kind": "webhook", "url": f"http://127.0.0.1:1/{path}", "secret": hmac}
        made = self.ask("POST", "/channels", json=hook, status=201)
        self.ask("POST", f"/channels/{made['id']}/test", json={}, status=202)
        self.ask("PATCH", f"/channels/{made['id']}", json={"name": f"{MARK}-2"}, status=200)

    def exports(self) -> None:
        """What is fetched is looked through as it is inside."""
        for form in ("jsonl", "csv") if self.soak else ("jsonl",):
            made = self.ask("POST", "/audit/exports", json={"format": form}, status=201)
            until = time.monotonic() + 180
            while made["state"] != "done" and time.monotonic() < until:
                time.sleep(0.5)
                self.at.keep_running()
                made = self.ask("GET", f"/audit/exports/{made['id']}", status=200)
            assert made["files"], made
            for file in made["files"]:
                found = httpx.get(file["url"], headers={"Authorization": f"Bearer {self.token}"}, trust_env=False)
                assert found.status_code == 200, found.text
                content = found.content
                inside = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
                self.answers.keep(f"export as {form}: {file['name']}", inside)
                self.exported += inside

    def browser(self) -> None:
        own, wrong = new_secret(), new_secret()
        self.planted.plant("password typed into the console", own)
        self.planted.plant("password that was wrong", wrong)
        self.page("GET", "/login/")
        for password in (wrong, self.first_password):
            self.page("POST", "/login/", data={"username": "admin", "password": password})
        self._plant_cookies()
        self.page("POST", "/password_change/", data={
            "old_password": self.first_password, "new_password1": own, "new_password2": own,
        })  # fmt: skip
        self._plant_cookies()
        name = "API key made in the console"
        project = self.ask("GET", "/projects?name=default", status=200)["results"][0]["id"]
        there = self.page("POST", "/controlplane/apikey/add/", data={"name": MARK, "project": project})
        shown = self.page("GET", there.headers["location"].removeprefix("/console"), shows=(name,))
        self.planted.plant(name, re.findall(r"sbx_\w{8}_\w{43}_\w{6}", shown.text)[0])
        self._playground()
        for noun in ("controlplane/apikey", "controlplane/deployment", "controlplane/user", "controlplane/route",
                     "controlplane/managementtoken", "audit/event"):  # fmt: skip
            assert self.page("GET", f"/{noun}/").status_code == 200
        for deployment in self.ask("GET", "/deployments", status=200)["results"]:
            for page in ("", "change/"):
                self.page("GET", f"/controlplane/deployment/{deployment['id']}/{page}")

    def _plant_cookies(self) -> None:
        for name, value in self.console.cookies.items():
            if "session" in name and value:
                self.planted.plant("session cookie", value)

    def _playground(self) -> None:
        body = {"model": MARK, "messages": [{"role": "user", "content": self.prompt}]}
        csrf = next(value for name, value in self.console.cookies.items() if "csrf" in name)
        answer = self.console.post("/console/playground/answer/", json=body, headers={"X-CSRFToken": csrf})
        self.answers.keep("playground", whole(answer), {"answer of a model"})
        assert ANSWER in answer.text

    def while_servers_break(self) -> None:
        """What goes wrong is written to logs with more words than what goes well."""
        for server, number in (("valkey", signal.SIGKILL), ("postgresql", signal.SIGINT)):
            self.at.stop(server, number)
            answer = self.gateway.post(
                "/v1/chat/completions", headers={"authorization": f"Bearer {self.first_key}"},
                json={"model": MARK, "messages": [{"role": "user", "content": self.prompt}]},
            )  # fmt: skip
            self.answers.keep("chat without a server", whole(answer), {"answer of a model"})
            self.page("GET", "/") if server == "valkey" else self._without_database()
        self.at.start_servers()

    def _without_database(self) -> None:
        for path in ("/models", "/users"):
            self.ask("GET", path, status=503)
        body = {"username": "dora", "password": self.first_password}
        self.ask("POST", "/auth/token", json=body, status=503)
        if self.soak:
            self.run("doctor", fails=True)

    def read_everything(self) -> None:
        for noun in NOUNS:
            for row in self.ask("GET", f"/{noun}?limit=200", status=200)["results"]:
                if noun == "replicas":
                    self.ask("GET", f"/replicas/{row['id']}", status=200)
        if self.soak:
            self.run("doctor", "--json", fails=None)  # what was broken may still be on its way back
        for url in (f"{self.at.instance.console_url}/metrics", f"{self.at.instance.gateway_url}/v1/models",
                    f"http://127.0.0.1:{self.at.instance.metrics_port}/metrics"):  # fmt: skip
            self.answers.keep("metrics", whole(httpx.get(url, trust_env=False)))

    def all(self) -> None:
        self.prompt = self.planted.plant("prompt", f"my secret is {secrets.token_hex(12)}")
        self.planted.plant("answer of a model", ANSWER)
        for part in (
            self.what_make_up_makes, self.engines, self.people, self.machines, self.keys, self.channels, self.browser,
            self.while_servers_break, self.exports, self.read_everything,
        ):  # fmt: skip
            part()


def environment(planted: Planted) -> tuple[dict[str, str], dict[str, str]]:
    """Passwords of the servers, and further secrets that processes are given."""
    passwords = {name: planted.plant(f"password in {name}", new_secret()) for name in
                 ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL")}  # fmt: skip
    hosts = {"SIGNALBOX_WEBHOOK_HOSTS": "127.0.0.1"}
    given = {"HF_TOKEN": f"hf_{new_secret()}"} | {name: make() for name, (_file, make) in SECRETS.items()}
    for name, secret in given.items():
        planted.plant(name, secret)
        if name.endswith("_KEY") and name != "SECRET_KEY":
            planted.plant(name, base64.b64decode(secret).hex())
    return passwords, given | hosts


def prove(proof: Proof, engine: str) -> None:
    planted, answers = Planted(), Answers()
    with installation(*environment(planted)) as at:
        everything = Everything(at, planted, answers, engine, soak=proof.soak)
        try:
            everything.all()
        finally:
            everything.close()
        database, redis = at.database_dump(), at.redis_dump()
        at.stop_all()
        logs = at.logs().encode()
        mark = MARK.encode()
        seen = {
            "database": mark in database, "Redis": mark in redis, "logs": mark in logs, "answers": answers.hold(mark),
            "exports": mark in everything.exported,
        }  # fmt: skip
        assert all(seen.values()), f"not seen at all: {seen}"
        found = {
            "database dump": planted.found_in(database), "Redis dump": planted.found_in(redis),
            "logs": planted.found_in(logs), "answers": answers.found(planted),
            "files of the installation, PostgreSQL's and Valkey's own": planted.found_below(at.home),
        }  # fmt: skip
        sizes = {
            "database dump": len(database), "Redis dump": len(redis), "logs": len(logs), "answers": len(answers),
            "files of the installation, PostgreSQL's and Valkey's own": sum(
                path.stat().st_size for path in Path(at.home).rglob("*") if path.is_file()
            ),
        }  # fmt: skip
    assert len(planted.names) >= TO_PLANT
    for place, where in found.items():
        proof.show(
            f"secrets in the {place} ({sizes[place]:,} {'answers' if place == 'answers' else 'bytes'})",
            counted=len(planted.names), bar="0", measured="; ".join(sorted(where)) or 0, held=not where,
        )  # fmt: skip


@pytest.mark.proof("S5", seconds=300)
async def test_no_planted_secret_is_found(proof: Proof) -> None:
    async with Engine(engine_says) as engine:
        await asyncio.to_thread(prove, proof, engine.url)
    assert any("authorization" in asked.headers for asked in engine.asked), "the engine was asked with its key"
