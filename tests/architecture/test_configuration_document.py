"""Every SIGNALBOX_* variable that the code reads stands in docs/configuration.md, and no other."""

import re

from tests.architecture.test_layout import ROOT, SOURCES

VARIABLE = re.compile(r"""["'](SIGNALBOX_[A-Z_]+)["']""")
OF_CREDENTIALS = {f"SIGNALBOX_{name}" for name in ("ADMIN_USER", "ADMIN_PASSWORD", "ADMIN_TOKEN", "API_KEY", "MODEL")}


def test_document_and_code_know_the_same_variables() -> None:
    sources = [path for path in SOURCES if path.relative_to(ROOT).parts[0] not in {"tests", "bench"}]
    read = {name for path in sources for name in VARIABLE.findall(path.read_text())} - OF_CREDENTIALS
    told = set(re.findall(r"`(SIGNALBOX_[A-Z_]+)`", (ROOT / "docs" / "configuration.md").read_text()))
    assert read == told
