from bench.masking import PRECISION, RECALL, score
from bench.personal_texts import Planted, Text, texts
from inference.masking import Kind
from tests.figures import tell


def test_generated_texts() -> None:
    result = score(texts(1_000, seed=20))
    tell(f"masking: recall {result.recall:.3%}, precision {result.precision:.3%} on 1,000 texts")
    assert (result.recall >= RECALL, result.missed[:3]) == (True, result.missed[:3])
    assert (result.precision >= PRECISION, result.wrong[:3]) == (True, result.wrong[:3])


def test_every_kind_is_among_them() -> None:
    assert {piece.kind for text in texts(100, seed=3) for piece in text.planted} == set(Kind)


def test_the_score_sees_what_is_missed_and_what_is_wrong() -> None:
    """Planted as something else, a telephone number is both."""
    wrongly = Text("拨打13812345678", (Planted(Kind.EMAIL, 2, 13),))
    result = score([wrongly])
    assert (result.recall, result.precision) == (0, 0)
    assert (len(result.missed), len(result.wrong)) == (1, 1)
