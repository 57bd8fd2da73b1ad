"""A session stays where it is while that is there."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from inference.rendezvous import session_of, strongest, strongest_weighted

NAMES = st.lists(st.binary(min_size=1, max_size=8), min_size=2, max_size=6, unique=True)
SESSIONS = [session_of(b"session-%d" % number) for number in range(3000)]


@given(NAMES, st.binary(min_size=1), st.data())
def test_loss_of_another_moves_nobody(names: list[bytes], value: bytes, data: st.DataObject) -> None:
    session = session_of(value)
    own = names[strongest(session, names)]
    rest = [name for name in names if name != data.draw(st.sampled_from([name for name in names if name != own]))]
    assert rest[strongest(session, rest)] == own


@given(NAMES, st.binary(min_size=1), st.data())
def test_heavier_other_can_only_win_a_session(names: list[bytes], value: bytes, data: st.DataObject) -> None:
    session, weights = session_of(value), [data.draw(st.integers(1, 100)) for _ in names]
    grown = data.draw(st.integers(0, len(names) - 1))
    before = strongest_weighted(session, names, weights)
    weights[grown] += data.draw(st.integers(0, 100))
    assert strongest_weighted(session, names, weights) in {before, grown}


def test_sessions_are_spread_evenly() -> None:
    counts = [0, 0, 0]
    for session in SESSIONS:
        counts[strongest(session, [b"a", b"b", b"c"])] += 1
    assert all(900 < count < 1100 for count in counts)


def test_sessions_are_spread_by_weight() -> None:
    canary = sum(strongest_weighted(session, [b"a", b"b"], [9, 1]) for session in SESSIONS)
    assert 240 < canary < 360


def test_all_processes_agree() -> None:
    program = (
        "from inference.rendezvous import session_of, strongest\n"
        "print([strongest(session_of(b'%d' % n), [b'a', b'b', b'c', b'd']) for n in range(40)])"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1
    assert len(set(*answers)) > 2
