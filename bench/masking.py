"""How much of the personal data is found, and how much of what is found is personal data.

    python -m bench.masking [--texts 10000] [--seed 1] [--show]

Bars: recall 99.5 %, precision 99 % over all kinds. `--show` prints what was missed and what was taken by mistake.
"""

import argparse
import sys
import time
from collections import Counter
from typing import NamedTuple

from bench.personal_texts import Text, texts
from inference.masking import Kind
from inference.masking.kinds import beginnings, find, plain

RECALL, PRECISION = 0.995, 0.99


class Score(NamedTuple):
    hit: Counter[Kind]
    missed: list[tuple[Kind, str, str]]
    wrong: list[tuple[Kind, str, str]]

    @property
    def recall(self) -> float:
        return self.hit.total() / max(1, self.hit.total() + len(self.missed))

    @property
    def precision(self) -> float:
        return self.hit.total() / max(1, self.hit.total() + len(self.wrong))


def spans(text: str) -> list[tuple[Kind, int, int]]:
    """Where what is masked lies; as `Masker` goes through a text."""
    compared, place, found = plain(text), 0, []
    look = beginnings(compared).search
    while beginning := look(compared, place):
        place = beginning.start() + 1
        if what := find(compared, beginning.start()):
            found.append((what.kind, beginning.start(), what.end))
            place = what.end
    return found


def score(samples: list[Text]) -> Score:
    """A planted piece counts as found when all of it is masked as what it is; the rest of what is masked is wrong."""
    result = Score(Counter(), [], [])
    for sample in samples:
        masked = spans(sample.text)
        for kind, start, end in sample.planted:
            if any(k is kind and s <= start and e >= end for k, s, e in masked):
                result.hit[kind] += 1
            else:
                result.missed.append((kind, sample.text[start:end], sample.text))
        for kind, start, end in masked:
            if not any(k is kind and s < end and e > start for k, s, e in sample.planted):
                result.wrong.append((kind, sample.text[start:end], sample.text))
    return result


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    samples = texts(options.texts, options.seed)
    began = time.perf_counter()
    result = score(samples)
    seconds = time.perf_counter() - began
    size = sum(len(sample.text.encode()) for sample in samples)
    print(f"{'kind':16}{'planted':>9}{'missed':>8}{'wrong':>7}")
    missed, wrong = (Counter(kind for kind, *_ in items) for items in (result.missed, result.wrong))
    for kind in Kind:
        print(f"{kind:16}{result.hit[kind] + missed[kind]:9}{missed[kind]:8}{wrong[kind]:7}")
    print(f"{len(samples)} texts, {size / 1e6:.1f} MB, {size / seconds / 1e6:.1f} MB/s")
    print(f"recall {result.recall:.4%} (bar {RECALL:.1%}), precision {result.precision:.4%} (bar {PRECISION:.0%})")
    if options.show:
        for name, items in (("missed", result.missed), ("wrong", result.wrong)):
            for kind, value, text in items[:25]:
                print(f"{name} {kind}: {value!r} in {text!r}")
    return 0 if result.recall >= RECALL and result.precision >= PRECISION else 1


if __name__ == "__main__":
    sys.exit(main())
