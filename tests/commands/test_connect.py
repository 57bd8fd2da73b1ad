"""`connect`: an engine that Signalbox does not start becomes a deployment with a share of a route."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from audit.models import Event
from controlplane.models import Deployment, ModelVersion, Route
from tests.commands.run import run
from tests.factories import ModelFactory, ProjectFactory, RouteFactory, TargetFactory

pytestmark = pytest.mark.django_db
CLOSED = "http://127.0.0.1:9"


class Engine:
    """An HTTP server that says it serves `names`."""

    def __init__(self) -> None:
        self.names = ["Qwen/Qwen3-0.6B"]
        self.status = 200
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps({"data": [{"id": name} for name in engine.names]}).encode()
                self.send_response(engine.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    thread = threading.Thread(target=engine.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield engine
    engine.server.shutdown()
    thread.join()
    engine.server.server_close()


def targets(route: str) -> dict[str, int]:
    return {target.deployment.external_url: target.weight for target in Route.objects.get(name=route).targets.all()}


def test_model_is_asked_of_the_engine(engine: Engine) -> None:
    ran = run("connect", engine.url, "--route", "chat")
    deployment = Deployment.objects.get()
    assert ran == (f"{deployment.name}\n", "", 0)
    assert deployment.served_name == "Qwen/Qwen3-0.6B"
    assert (deployment.backend, deployment.flavour) == ("external", "external")
    assert targets("chat") == {engine.url: 100}


def test_version_says_where_it_is() -> None:
    run("connect", CLOSED, "--route", "chat", "--model", "m")
    assert ModelVersion.objects.get().source == f"external:{CLOSED}"


def test_given_model_needs_no_engine() -> None:
    assert run("connect", CLOSED, "--route", "chat", "--model", "m").status == 0
    assert Deployment.objects.get().served_name == "m"


def test_same_again_changes_only_the_weight() -> None:
    run("connect", CLOSED, "--route", "chat", "--model", "m")
    run("connect", CLOSED + "/v1/", "--route", "chat", "--weight", "7")
    assert Deployment.objects.count() == 1
    assert targets("chat") == {CLOSED: 7}


def test_same_again_leaves_no_event(events: Callable[[], list[Event]]) -> None:
    run("connect", CLOSED, "--route", "chat", "--model", "m")
    before = len(events())
    run("connect", CLOSED, "--route", "chat", "--model", "m")
    assert len(events()) == before


def test_other_targets_stay() -> None:
    other = TargetFactory(route=RouteFactory(name="chat"), weight=900)
    run("connect", CLOSED, "--route", "chat", "--model", "m", "--weight", "100")
    assert targets("chat") == {other.deployment.external_url: 900, CLOSED: 100}


def test_two_engines_of_one_model_share_the_catalogue_entry() -> None:
    run("connect", CLOSED, "--route", "chat", "--model", "m")
    run("connect", "http://engine:8000", "--route", "chat", "--model", "m")
    assert {version.model.name for version in ModelVersion.objects.all()} == {"m"}
    assert targets("chat") == {CLOSED: 100, "http://engine:8000": 100}


def test_json_tells_all() -> None:
    data = json.loads(run("connect", CLOSED, "--route", "chat", "--model", "m", "--json").out)
    assert data == {
        "deployment": Deployment.objects.get().name, "model": "m", "url": CLOSED, "route": "chat", "weight": 100,
    }  # fmt: skip


def test_silent_engine_is_one_line() -> None:
    ran = run("connect", CLOSED, "--route", "chat")
    assert ran.status == 1
    assert CLOSED in ran.err
    assert "\n" not in ran.err
    assert not Deployment.objects.exists()


def test_engine_that_wants_a_key_is_one_line(engine: Engine) -> None:
    engine.status = 401
    assert "401" in run("connect", engine.url, "--route", "chat").err


def test_several_models_are_named(engine: Engine) -> None:
    engine.names = ["b", "a"]
    assert "a, b" in run("connect", engine.url, "--route", "chat").err


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "http://", "http://h:99999", "http://h/path", "http://u:p@h", "http://h?x", "h:80", "http://a b", "http://h\n"],
)  # fmt: skip
def test_bad_url_is_refused(url: str) -> None:
    ran = run("connect", url, "--route", "chat", "--model", "m")
    assert ran.status == 1
    assert "external_url" in ran.err


@pytest.mark.parametrize(
    ("route", "weight", "field"), [("bad name", "1", "name"), ("chat", "1001", "weight"), ("chat", "-1", "weight")]
)
def test_refusal_leaves_nothing(route: str, weight: str, field: str, events: Callable[[], list[Event]]) -> None:
    ran = run("connect", CLOSED, "--route", route, "--model", "m", f"--weight={weight}")
    assert ran.err.startswith(f"{field}: ")
    assert not Deployment.objects.exists()
    assert events() == []


def test_model_of_a_project_is_not_borrowed() -> None:
    ModelFactory(name="m", project=ProjectFactory())
    assert "belongs to a project" in run("connect", CLOSED, "--route", "chat", "--model", "m").err


def test_deployment_in_deletion_is_not_revived() -> None:
    run("connect", CLOSED, "--route", "chat", "--model", "m")
    Route.objects.get().targets.all().delete()
    Deployment.objects.update(deleted_at="2026-01-01T00:00:00Z")
    assert "already exists" in run("connect", CLOSED, "--route", "chat", "--model", "m").err


def test_long_names_are_cut() -> None:
    run("connect", CLOSED, "--route", "chat", "--model", "Org/" + "x" * 100)
    assert len(Deployment.objects.get().name) == 52
