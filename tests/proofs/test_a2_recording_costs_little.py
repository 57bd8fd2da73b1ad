"""A2: what the register costs before the first byte: the same arrivals at a gateway with it and at one without."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bench import recording
from tests.proofs.proof import Proof

MOST_P50, MOST_P99 = 10.0, 25.0
"""milliseconds"""


@pytest.mark.proof("A2", seconds=300)
def test_register_costs_little_before_the_first_byte(proof: Proof) -> None:
    pace, seconds = proof.full(100, 1_000), proof.full(0.5, 10.0)
    with TemporaryDirectory(prefix="sbx-a2-") as home:
        Path(home).chmod(0o755)
        found = recording.compare(
            Path(home), pace=pace, seconds=seconds, rounds=proof.full(1, 3),
            prefills=recording.PREFILLS if proof.soak else recording.PREFILLS[:1],
        )  # fmt: skip
    for added in found:
        what = f"{added.mode}, prefill {1000 * added.prefill:.0f} ms: "
        counted = f"{added.counted:,} at {pace:,}/s"
        proof.show(
            what + "added before the first byte", counted=counted, bar=f"p50 ≤ {MOST_P50:.0f}, p99 ≤ {MOST_P99:.0f} ms",
            measured=f"p50 {added.p50:.2f}, p99 {added.p99:.2f} ms",
            held=added.p50 <= MOST_P50 and added.p99 <= MOST_P99, timed=True,
        )  # fmt: skip
        proof.show(what + "failed answers", counted=counted, bar="0", measured=added.failures, held=not added.failures)
