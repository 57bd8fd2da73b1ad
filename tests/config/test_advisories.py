"""What pip-audit could not look up is told as unknown, never as well."""

from config.advisories import read

WELL = {"name": "a", "version": "1", "vulns": []}
WEAKNESSES = [{"id": "PYSEC-1", "fix_versions": ["2.1"]}, {"id": "PYSEC-2", "fix_versions": []}]
WEAK = {"name": "b", "version": "2", "vulns": WEAKNESSES}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found"}


def test_weaknesses_are_told_with_what_mends_them() -> None:
    audit = read({"dependencies": [WELL, WEAK]})
    assert audit.known == ["a 1", "b 2"]
    assert audit.weak == ["b 2: PYSEC-1 (mended in 2.1)", "b 2: PYSEC-2 (mended in no version yet)"]


def test_skipped_is_unknown_and_not_well() -> None:
    assert read({"dependencies": [SKIPPED, WELL]}) == (["a 1"], ["c"], [])
    assert read({"dependencies": [SKIPPED]}).known == []
