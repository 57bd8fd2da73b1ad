"""Every stable code of the API's errors stands in docs/api.md."""

import re

from tests.architecture.test_layout import ROOT, SOURCES

GIVEN = re.compile(
    r'(?:\bcode=|default_code = |^    code = |_problem\(\d+, |_outside\(\w+, \d+, )"([a-z_]+)"', re.MULTILINE
)
# They stand in `errors`, at a field.
AT_FIELDS = {"unknown_field", "unknown_parameter", "repeated_parameter", "blank", "unusable"}
# Chosen where an error is made, by what it is.
CHOSEN = {"rate_limited", "already_exists", "look_alike"}
# Django REST framework's own.
OF_THE_FRAMEWORK = {
    "parse_error", "not_authenticated", "permission_denied", "not_found", "method_not_allowed", "not_acceptable",
    "unsupported_media_type",
}  # fmt: skip


def test_document_knows_every_code() -> None:
    mine = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in {"controlplane", "audit"}]
    given = {code for path in mine for code in GIVEN.findall(path.read_text())} - AT_FIELDS
    table = (ROOT / "docs" / "api.md").read_text().partition("| code |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    told = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)}
    assert told == given | OF_THE_FRAMEWORK | CHOSEN
