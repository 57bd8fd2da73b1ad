"""What import-linter cannot say: only the contract crosses from the gateway's side to the control plane's."""

import subprocess
import sys

import grimp
import pytest

ABOVE = ("audit", "controlplane", "monitoring", "workers")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("config", "workers", "monitoring", "controlplane", "audit", "inference")


@pytest.mark.parametrize("package", ABOVE)
def test_only_the_contract_is_shared_with_the_gateway(graph: grimp.ImportGraph, package: str) -> None:
    modules = graph.find_descendants(package) | {package}
    crossing = {target for module in modules for target in graph.find_modules_directly_imported_by(module)}
    assert {
        target for target in crossing if target.startswith("inference") and not target.startswith("inference.contract")
    } == set()


def test_gateway_loads_neither_django_nor_celery() -> None:
    code = "import sys, inference.app, inference.__main__; print({'django', 'celery'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
