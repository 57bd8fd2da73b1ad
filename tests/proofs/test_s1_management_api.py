"""S1: hostile input to the management API. Its own description against a running console, with all of schemathesis's
checks: no 5xx, no answer that the description does not know, no operation that forgets who asks."""

import json
from collections import Counter
from pathlib import Path

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from tests.proofs.console import ROOT, Console, console
from tests.proofs.proof import Proof

CASES = 10_000
SMALL = """
[generation]
max-examples = 1
[phases]
examples.enabled = false
coverage.enabled = false
stateful.enabled = false
"""
FULL = """
[generation]
max-examples = 100
"""


class Tally:
    """What a run of schemathesis found."""

    def __init__(self) -> None:
        self.cases = self.answers_5xx = 0
        self.operations: set[str] = set()
        self.failures: dict[str, str] = {}
        """one of each kind on each operation, with what was sent"""
        self.by_check: Counter[str] = Counter()

    def take(self, finished: events.ScenarioFinished) -> None:
        recorder = finished.recorder
        self.cases += len(recorder.cases)
        self.operations |= {node.value.operation.label for node in recorder.cases.values()}
        for number, interaction in recorder.interactions.items():
            if interaction.response is not None and interaction.response.status_code >= 500:
                self.answers_5xx += 1
            for check in recorder.checks.get(number, ()):
                if check.status == Status.FAILURE:
                    self._keep(check.name, recorder.cases[number].value.operation.label, check)

    def _keep(self, name: str, label: str, check: object) -> None:
        self.by_check[name] += 1
        self.failures.setdefault(f"{name} on {label}", str(getattr(check, "failure_info", check))[:1500])


def run(target: Console, settings: str, seed: int, tally: Tally) -> None:
    text = (
        (ROOT / "schemathesis.toml").read_text() + f'\n[headers]\nAuthorization = "Bearer {target.token}"\n' + settings
    )
    schema = schemathesis.openapi.from_url(
        f"{target.url}/api/v1/openapi.json", config=SchemathesisConfig.from_str(f"seed = {seed}\n{text}")
    )
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            tally.take(event)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            tally.failures.setdefault("schemathesis itself", str(event))


def furnish(target: Console) -> None:
    """One object of each noun, so that what is drawn at random finds something to change."""
    with target.api() as api:
        for path, body in (
            ("/models", {"name": "m"}),
            ("/versions", {"model": "m", "name": "v1", "source": "hf:org/m"}),
            ("/deployments", {"name": "blue", "version": "m:v1", "replicas": 0}),
            ("/routes", {"name": "chat", "targets": [{"deployment": "blue"}]}),
            ("/limits", {"route": "chat", "concurrency": 1}),
        ):
            api.post(path, json=body).raise_for_status()


@pytest.mark.proof("S1", seconds=1500)
def test_description_holds_against_hostile_input(proof: Proof, tmp_path: Path) -> None:
    tally = Tally()
    with console(tmp_path) as target:
        furnish(target)
        for seed in proof.rounds(1, 100):
            run(target, FULL if proof.soak else SMALL, seed, tally)
            if tally.cases >= CASES or not proof.soak:
                break
        described = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"].values()
        assert len(tally.operations) >= sum(len(item) for item in described), "an operation was left out"
        log = (tmp_path / "console.log").read_text()
    assert "Traceback" not in log
    wrong = "; ".join(f"{count} × {name}" for name, count in tally.by_check.items()) or "none"
    proof.show(
        "cases made from openapi.json, all checks on: wrong answers", counted=tally.cases, bar="0", measured=wrong,
        held=not tally.failures,
    )  # fmt: skip
    proof.show("answers of 5xx", counted=tally.cases, bar="0", measured=tally.answers_5xx, held=not tally.answers_5xx)
    assert not tally.failures, "\n\n".join(f"{name}: {told}" for name, told in tally.failures.items())
    if proof.soak:
        assert tally.cases >= CASES
